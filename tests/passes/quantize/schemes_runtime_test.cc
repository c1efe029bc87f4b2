// What ONNX Runtime makes of the other schemes: dynamic int8, half, bfloat16
// weights, and the options of static int8.
#include <fmt/format.h>

#include <set>

#include "calibration/ranges/min_max.h"
#include "passes/quantize/half_rules.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/quantize/noise.h"
#include "tests/passes/quantize/random_network.h"
#include "tests/passes/quantize/runtime_support.h"

namespace lathe::quantize::test {
namespace {

std::vector<NamedTensors> inputs_of(const ir::Model& model,
                                    const ir::InputShapes& shapes) {
  std::vector<NamedTensors> inputs;
  for (uint64_t seed : {1, 2})
    inputs.push_back(latency::random_inputs(model, shapes, seed));
  return inputs;
}

Compared run_pass(const ir::Model& model, std::unique_ptr<Pass> pass,
                  const ir::InputShapes& shapes, PassContext context = {}) {
  ir::Model changed = ir::clone(model);
  pass->run(changed, context);
  ir::verify(*changed.graph, "test");
  return compare(model, changed, inputs_of(model, shapes));
}

Compared run_pass(const std::string& text, std::unique_ptr<Pass> pass) {
  ir::Model model = ir::parse_text(text);
  draw_weights(model);
  ir::infer_shapes(model);
  return run_pass(model, std::move(pass), ir::default_input_shapes(model));
}

std::string graph(const std::string& body) {
  return "opset 17 graph { input %x: float[4,32] " + body + " output %y }";
}

Compared dynamic(const std::string& body, DynamicOptions options = {}) {
  options.min_elements = 0;
  Compared compared =
      run_pass(graph(body), make_quantize_dynamic(std::move(options)));
  CHECK(compared.sqnr_db > 30);
  // Nothing is left of the unfused form.
  CHECK(compared.count("MatMulInteger") == 0);
  CHECK(compared.count("Cast") == 0);
  return compared;
}

TEST_CASE("runtime: dynamic products fuse") {
  const std::vector<DynamicOptions> all{
      {},
      {.weight_type = ir::DataType::kUint8},
      {.per_channel = false},
      {.weight_type = ir::DataType::kUint8, .per_channel = false}};
  for (const DynamicOptions& options : all) {
    for (const char* body :
         {"input %w: float[32,48] %y = MatMul(%x, %w)",
          "input %w: float[32,48] input %wb: float[48] %h = MatMul(%x, %w) "
          "%y = Add(%wb, %h)",
          "input %w: float[32,48] input %wb: float[48] %h = MatMul(%x, %w) "
          "%y = Add(%h, %wb)",
          "input %w: float[48,32] input %wb: float[1,48] "
          "%y = Gemm(%x, %w, %wb) {transB = 1, alpha = 0.5, beta = 2.0}",
          "input %w: float[32,48] input %wb: float[1] "
          "%y = Gemm(%x, %w, %wb)",
          "input %w: float[3,32,48] %y = MatMul(%x, %w)"}) {
      CAPTURE(body);
      Compared compared = dynamic(body, options);
      CHECK(compared.count("DynamicQuantizeMatMul") == 1);
      CHECK(compared.count("Add") == 0);
      CHECK(compared.kernels.size() == 1);
    }
  }
}

TEST_CASE("runtime: products of one input share its codes") {
  Compared compared = dynamic(
      "input %w: float[32,48] input %w2: float[32,48] input %wb: float[48] "
      "%a = MatMul(%x, %w) %b = MatMul(%x, %w2) %c = Add(%b, %wb) "
      "%y = Mul(%a, %c)");
  CHECK(compared.count("DynamicQuantizeLinear") == 1);
  CHECK(compared.count("MatMulIntegerToFloat") == 2);
  CHECK(compared.count("Add") == 0);
}

TEST_CASE("runtime: dynamic biases that do not fuse are right all the same") {
  CHECK(dynamic("input %w: float[32,48] input %wb: float[4,1] "
                "%y = Gemm(%x, %w, %wb)")
            .count("Add") == 1);
  CHECK(dynamic("input %w: float[32,48] input %wb: float[4,48] "
                "%h = MatMul(%x, %w) %y = Add(%wb, %h)")
            .count("Add") == 1);
}

TEST_CASE("runtime: dynamic products in subgraphs fuse as well") {
  Compared compared = run_pass(
      "opset 17 graph { input %x: float[4,32] input %c: bool[] "
      "input %w: float[32,32] %y = If(%c) { "
      "then_branch = graph then { %t = MatMul(%x, %w) output %t }, "
      "else_branch = graph else { %a = MatMul(%x, %w) %e = MatMul(%a, %w) "
      "output %e } } output %y }",
      make_quantize_dynamic({.min_elements = 0}));
  CHECK(compared.sqnr_db > 30);
  CHECK(compared.count("DynamicQuantizeMatMul") == 3);
}

TEST_CASE("runtime: dynamic LSTM in all its forms") {
  for (const char* direction : {"forward", "reverse", "bidirectional"}) {
    const bool both = std::string(direction) == "bidirectional";
    for (const DynamicOptions& options :
         {DynamicOptions{}, DynamicOptions{.weight_type = ir::DataType::kUint8},
          DynamicOptions{.per_channel = false}}) {
      DynamicOptions used = options;
      used.min_elements = 0;
      CAPTURE(direction);
      Compared compared = run_pass(
          fmt::format("opset 17 graph {{ input %x: float[5,2,16] "
                      "input %w: float[{0},32,16] input %wr: float[{0},32,8] "
                      "input %wb: float[{0},64] input %wh: float[{0},2,8] "
                      "input %wc: float[{0},2,8] "
                      "%y, %h, %c = LSTM(%x, %w, %wr, %wb, _, %wh, %wc) "
                      "{{hidden_size = 8, direction = \"{1}\"}} "
                      "output %y output %h output %c }}",
                      both ? 2 : 1, direction),
          make_quantize_dynamic(used));
      CHECK(compared.count("DynamicQuantizeLSTM") == 1);
      CHECK(compared.sqnr_db > 25);
    }
  }
}

// One node of each operator that float16 converts, %h being half.
std::map<std::string, std::string> half_samples() {
  std::map<std::string, std::string> samples{
      {"Conv", "input %wk: float[4,4,1,1] %y = Conv(%h, %wk)"},
      {"ConvTranspose",
       "input %wk: float[4,4,2,2] %y = ConvTranspose(%h, %wk)"},
      {"Gemm", "%f = Flatten(%h) input %wk: float[144,3] %y = Gemm(%f, %wk)"},
      {"MatMul", "%y = MatMul(%h, %h)"},
      {"Einsum", "%y = Einsum(%h) {equation = \"abcd->ad\"}"},
      {"Clip", "init %low = float[] {-0.5} %y = Clip(%h, %low)"},
      {"PRelu", "init %k = float[1] {0.25} %y = PRelu(%h, %k)"},
      {"Where", "%t = IsNaN(%h) %y = Where(%t, %h, %h)"},
      {"IsNaN", "%t = IsNaN(%h) %y = Where(%t, %h, %h)"},
      {"BatchNormalization",
       "init %k = float[4] {1, 2, 3, 4} %y = BatchNormalization(%h, %k, %k, "
       "%k, %k)"},
      {"GroupNormalization",
       "init %k = float[4] {1, 2, 3, 4} %y = GroupNormalization(%h, %k, %k) "
       "{num_groups = 2}"},
      {"InstanceNormalization",
       "init %k = float[4] {1, 2, 3, 4} %y = InstanceNormalization(%h, %k, "
       "%k)"},
      {"LayerNormalization",
       "init %k = float[6] {1, 2, 3, 4, 5, 6} %y = LayerNormalization(%h, %k)"},
      {"AveragePool", "%y = AveragePool(%h) {kernel_shape = [2, 2]}"},
      {"MaxPool", "%y = MaxPool(%h) {kernel_shape = [2, 2]}"},
      {"TopK", "init %k = int64[1] {2} %y, %i = TopK(%h, %k)"},
      {"Compress",
       "init %k = bool[4] {1, 0, 1, 1} %y = Compress(%h, %k) "
       "{axis = 1}"},
      {"Concat", "%y = Concat(%h, %h) {axis = 1}"},
      {"ConstantOfShape",
       "init %k = int64[1] {6} %z = ConstantOfShape(%k) %y = Add(%h, %z)"},
      {"DepthToSpace", "%y = DepthToSpace(%h) {blocksize = 2}"},
      {"SpaceToDepth", "%y = SpaceToDepth(%h) {blocksize = 2}"},
      {"Expand", "init %k = int64[4] {2, 4, 6, 6} %y = Expand(%h, %k)"},
      {"Tile", "init %k = int64[4] {2, 1, 1, 1} %y = Tile(%h, %k)"},
      {"Reshape", "init %k = int64[2] {4, 36} %y = Reshape(%h, %k)"},
      {"Squeeze", "init %k = int64[1] {0} %y = Squeeze(%h, %k)"},
      {"Unsqueeze", "init %k = int64[1] {0} %y = Unsqueeze(%h, %k)"},
      {"Gather", "init %k = int64[1] {0} %y = Gather(%h, %k)"},
      {"GatherElements",
       "init %k = int64[1,1,1,1] {0} %y = GatherElements(%h, %k)"},
      {"GatherND", "init %k = int64[1,1] {0} %y = GatherND(%h, %k)"},
      {"GridSample", "input %g: float[1,3,3,2] %y = GridSample(%h, %g)"},
      {"OneHot",
       "init %d = int64[] {3} init %v = float[2] {0, 1} %i = ArgMax(%h) "
       "%o = OneHot(%i, %d, %v) %s = ReduceMax(%h) %y = Mul(%o, %s)"},
      {"Pad",
       "init %k = int64[8] {0, 0, 1, 1, 0, 0, 1, 1} init %v = float[] {0.5} "
       "%y = Pad(%h, %k, %v)"},
      {"Resize", "init %k = float[4] {1, 1, 2, 2} %y = Resize(%h, _, %k)"},
      {"ReverseSequence",
       "init %k = int64[1] {3} %y = ReverseSequence(%h, %k) {batch_axis = 0, "
       "time_axis = 1}"},
      {"ScatterElements",
       "init %k = int64[1,1,1,1] {0} init %v = float[1,1,1,1] {2} "
       "%y = ScatterElements(%h, %k, %v)"},
      {"ScatterND",
       "init %k = int64[1,4] {0, 0, 0, 0} init %v = float[1] {2} "
       "%y = ScatterND(%h, %k, %v)"},
      {"Slice",
       "init %a = int64[1] {1} init %b = int64[1] {3} %y = Slice(%h, %a, %b, "
       "%a)"},
      {"Split", "%y, %z = Split(%h) {axis = 1, num_outputs = 2}"},
  };
  for (const char* name : {"LSTM", "GRU", "RNN"}) {
    const int gates = std::string(name) == "LSTM"  ? 4
                      : std::string(name) == "GRU" ? 3
                                                   : 1;
    samples[name] = fmt::format(
        "init %k = int64[3] {{4, 6, 6}} %r = Reshape(%h, %k) "
        "input %wk: float[1,{0},6] input %wr: float[1,{0},2] "
        "%y = {1}(%r, %wk, %wr) {{hidden_size = 2}}",
        gates * 2, name);
  }
  for (const char* name :
       {"Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum"})
    samples[name] = fmt::format("%y = {}(%h, %h)", name);
  for (const char* name :
       {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
    samples[name] = fmt::format("%t = {}(%h, %h) %y = Where(%t, %h, %h)", name);
  for (const char* name : {"ArgMax", "ArgMin"})
    samples[name] = fmt::format(
        "%i = {}(%h) %j = Cast(%i) {{to = 9}} %y = Where(%j, %h, %h)", name);
  return samples;
}

TEST_CASE("runtime: each operator of float16 runs in half") {
  const auto samples = half_samples();
  for (const HalfRule& rule : half_rules()) {
    if (rule.fragile) continue;
    const std::string name = rule.name;
    CAPTURE(name);
    const auto found = samples.find(rule.name);
    const std::string body = found != samples.end()
                                 ? found->second
                                 : fmt::format("%y = {}(%h)", rule.name);
    ir::Model model = ir::parse_text(
        "opset 21 graph { input %x: float[1,4,6,6] input %w: "
        "float[4,4,4,4] %c = Conv(%x, %w) {pads = [2, 2, 1, 1]} "
        "%h = Abs(%c) " +
        body + " output %y }");
    draw_weights(model);
    ir::infer_shapes(model);
    ir::Model changed = ir::clone(model);
    PassContext context;
    make_float16({})->run(changed, context);
    bool is_half = false;
    for (const auto& node : changed.graph->nodes()) {
      if (!node->is(rule.name)) continue;
      for (const auto* values : {&node->inputs(), &node->outputs()})
        for (const ir::Value* value : *values)
          is_half |= value && value->type.elem == ir::DataType::kFloat16;
    }
    CHECK(is_half);
    Compared compared = compare(
        model, changed, inputs_of(model, ir::default_input_shapes(model)));
    CHECK(compared.cosine > 0.999);
  }
}

Compared quantize_static(const ir::Model& model, QuantizeOptions options,
                         const ir::InputShapes& shapes) {
  NoiseSource data(model, 3);
  auto collector = ranges::make_min_max_collector(data, /*samples=*/0, 2);
  PassContext context;
  context.ranges = collector.get();
  return run_pass(model, make_quantize_static(std::move(options)), shapes,
                  context);
}

TEST_CASE("runtime: random networks keep to each scheme's error") {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const RandomNetwork network(seed);
    CAPTURE(seed);
    ir::Model model = network.model();
    ir::infer_shapes(model);
    const ir::InputShapes shapes = network.shapes(model);
    CHECK(run_pass(model, make_float16({}), shapes).cosine > 0.9999);
    Compared half = run_pass(model, make_float16({.keep_io = false}), shapes);
    CHECK(half.cosine > 0.9999);
    Compared stored =
        run_pass(model, make_bfloat16_weights({.min_elements = 1}), shapes);
    CHECK(stored.cosine > 0.9999);
    CHECK(stored.count("Cast") == 0);
    if (seed >= 6) continue;
    const double base = quantize_static(model, {}, shapes).sqnr_db;
    CHECK(base > 20);
    CHECK(quantize_static(model, {.weight_bits = 7}, shapes).sqnr_db >
          base - 8);
    for (ir::DataType type : {ir::DataType::kUint8, ir::DataType::kInt8}) {
      Compared symmetric = quantize_static(
          model, {.activation_type = type, .activation_symmetric = true},
          shapes);
      CHECK(symmetric.sqnr_db > base - 10);
      if (type == ir::DataType::kUint8)
        CHECK(symmetric.count("Conv") + symmetric.count("FusedConv") == 0);
    }
    for (ir::DataType type : {ir::DataType::kUint16, ir::DataType::kInt16}) {
      Compared wide = quantize_static(model, {.activation_type = type}, shapes);
      CHECK(wide.sqnr_db > base);
      CHECK(wide.count("QLinearConv") == 0);
    }
  }
}

TEST_CASE("runtime: real models keep to each scheme's error") {
  for (const char* name :
       {"cifar10_resnet20", "cifar10_resnet56", "imagenet_squeezenet1_1",
        "imagenet_mobilenet_v1_025_128", "anomaly_mlperf_tiny_autoencoder",
        "lm_stories260k"}) {
    const std::filesystem::path file =
        lathe::test::shared_file(std::string("models/") + name + "/model.onnx");
    if (file.empty()) continue;
    CAPTURE(name);
    ir::Model model = io::import_onnx(file);
    PassContext context;
    rewrite::make_simplify()->run(model, context);
    const ir::InputShapes shapes = ir::default_input_shapes(model);
    CHECK(run_pass(model, make_float16({}), shapes).cosine > 0.999);
    CHECK(run_pass(model, make_bfloat16_weights({}), shapes).cosine > 0.99);
    CHECK(run_pass(model, make_quantize_dynamic({.min_elements = 0}), shapes)
              .cosine > 0.99);
  }
}

TEST_CASE("runtime: silero's LSTMs and branches") {
  const std::filesystem::path file =
      lathe::test::shared_file("models/vad_silero/silero_vad.onnx");
  if (file.empty()) return;
  ir::Model model = io::import_onnx(file);
  PassContext context;
  rewrite::make_simplify()->run(model, context);
  NamedTensors inputs = latency::random_inputs(
      model, {{"input", {1, 576}}, {"state", {2, 1, 128}}, {"sr", {}}}, 1);
  for (auto& [name, tensor] : inputs)
    if (name == "sr") tensor = ir::Tensor::scalar<int64_t>(16000);
  auto measure = [&](std::unique_ptr<Pass> pass) {
    ir::Model changed = ir::clone(model);
    pass->run(changed, context);
    return compare(model, changed, {inputs});
  };
  Compared dynamic = measure(make_quantize_dynamic({}));
  CHECK(dynamic.count("DynamicQuantizeLSTM") == 2);
  CHECK(dynamic.cosine > 0.999);
  CHECK(measure(make_float16({})).cosine > 0.9999);
  CHECK(measure(make_bfloat16_weights({})).cosine > 0.9999);
}

}  // namespace
}  // namespace lathe::quantize::test
