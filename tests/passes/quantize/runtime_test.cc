// What ONNX Runtime makes of quantized models: the kernels in its optimized
// graph, and how near the outputs are.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "calibration/latency/session.h"
#include "calibration/ranges/min_max.h"
#include "passes/base/random.h"
#include "passes/io/onnx/onnx.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/quantize/noise.h"
#include "tests/passes/quantize/runtime_support.h"
#include "tests/passes/quantize/support.h"
#include "tests/support/shared.h"

namespace lathe::quantize::test {
namespace {

struct Measured {
  PassResult result;
  std::map<std::string, int> kernels;  // of the optimized graph
  int dequantized_products = 0;        // float ones that read a DQ
  double worst_sqnr_db = INFINITY;

  int count(const std::string& op) const {
    auto it = kernels.find(op);
    return it == kernels.end() ? 0 : it->second;
  }
};

Measured measure(ir::Model model, QuantizeOptions options = {}) {
  PassContext context;
  rewrite::make_simplify()->run(model, context);
  NoiseSource data(model, 3);
  auto collector = ranges::make_min_max_collector(data, /*samples=*/0, 2);
  context.ranges = collector.get();
  ir::Model quantized = ir::clone(model);
  Measured measured;
  measured.result =
      make_quantize_static(std::move(options))->run(quantized, context);
  ir::verify(*quantized.graph, "test");

  lathe::test::TempDir folder;
  latency::SessionOptions session_options;
  session_options.optimized_model = folder.path() / "optimized.onnx";
  auto int8 = latency::Session::open(quantized, session_options);
  auto fp32 = latency::Session::open(model);
  for (int64_t i = 0; i < data.size(); ++i) {
    auto expected = fp32->run(data.inputs(i)),
         found = int8->run(data.inputs(i));
    for (size_t o = 0; o < expected.size(); ++o)
      if (expected[o].type() == ir::DataType::kFloat)
        measured.worst_sqnr_db =
            std::min(measured.worst_sqnr_db, sqnr_db(expected[o], found[o]));
  }
  ir::Model optimized = io::import_onnx(session_options.optimized_model);
  for (const auto& node : optimized.graph->nodes()) {
    ++measured.kernels[node->op_type];
    if (node->is("Gemm") || node->is("MatMul"))
      measured.dequantized_products +=
          std::ranges::any_of(node->inputs(), [](const ir::Value* value) {
            return value && value->producer() &&
                   value->producer()->is("DequantizeLinear");
          });
  }
  return measured;
}

Measured measure_shared(const std::string& name, const std::string& file) {
  return measure(
      io::import_onnx(lathe::test::shared_dir() / "models" / name / file));
}

// Kernels that must not be left over where everything is an integer kernel.
int float_compute(const Measured& measured) {
  return measured.count("Conv") + measured.count("FusedConv") +
         measured.count("Gemm") + measured.count("FusedGemm") +
         measured.count("MatMul") + measured.count("FusedMatMul");
}

TEST_CASE("runtime: every Conv and Gemm of real models is an integer kernel") {
  struct Row {
    const char* name;
    int convs, gemms, borders;
    double least_db;
  };
  // borders: QuantizeLinear and DequantizeLinear that may remain.
  for (const Row& row : {Row{"cifar10_resnet20", 19, 1, 1, 20},
                         Row{"cifar10_resnet56", 55, 1, 1, 20},
                         Row{"cifar10_mlperf_tiny_resnet8", 9, 1, 1, 10},
                         Row{"imagenet_squeezenet1_1", 26, 0, 2, 15},
                         Row{"imagenet_mobilenet_v2", 53, 0, 2, 10},
                         Row{"kws_mlperf_tiny_dscnn", 9, 1, 1, 15},
                         Row{"mnist_cntk_opset8", 2, 1, 1, 15},
                         Row{"anomaly_mlperf_tiny_autoencoder", 0, 10, 1, 10},
                         Row{"face_ultraface_slim_320", 42, 0, 4, 15}}) {
    std::string name = row.name;
    CAPTURE(name);
    if (lathe::test::shared_file("models/" + name).empty()) return;
    Measured measured = measure_shared(name, "model.onnx");
    CHECK(measured.count("QLinearConv") == row.convs);
    CHECK(measured.count("QGemm") == row.gemms);
    CHECK(float_compute(measured) == 0);
    CHECK(measured.result.remarks.empty());
    CHECK(measured.count("QuantizeLinear") +
              measured.count("DequantizeLinear") <=
          row.borders);
    CHECK(measured.count("Relu") + measured.count("Clip") == 0);
    CHECK(measured.worst_sqnr_db > row.least_db);
  }
}

TEST_CASE("runtime: products left in float are the ones with a remark") {
  if (lathe::test::shared_file("models/lm_stories260k").empty()) return;
  Measured measured = measure_shared("lm_stories260k", "model.onnx");
  CHECK(float_compute(measured) ==
        static_cast<int>(measured.result.remarks.size()));
  CHECK(measured.count("MatMulIntegerToFloat") +
            measured.count("QLinearMatMul") ==
        36);
}

// A model on one input x: float[1,8,6,6] with weights of every kind.
Measured measure_body(const std::string& body, QuantizeOptions options = {}) {
  ir::Model model = ir::parse_text(R"(opset 17
graph {
  input %x: float[1,8,6,6]
  init %low = float[] {-1}
  init %high = float[] {1}
  init %zero = float[] {0}
  )" + body + R"(
  output %y
})");
  auto weights = [&](const char* name, std::vector<int64_t> dims) {
    ir::Value* value = model.graph->find(name);
    if (!value || value->has_initializer()) return;
    Random random(derive_seed(1, name));
    std::vector<double> values(ir::element_count(dims, "test"));
    for (double& v : values) v = random.normal() * 0.3;
    value->set_tensor(
        ir::Tensor::from_doubles(ir::DataType::kFloat, dims, values));
    model.graph->remove_input(value);
  };
  weights("w", {16, 8, 3, 3});
  weights("u", {16, 16, 1, 1});
  weights("d", {16, 1, 3, 3});
  weights("b", {16});
  weights("v", {36, 24});
  weights("vt", {24, 36});
  weights("k", {24});
  weights("line", {4, 8, 3});
  weights("cube", {4, 1, 3, 3, 3});
  weights("grouped", {16, 4, 3, 3});
  return measure(std::move(model), std::move(options));
}

const char* const kStem =
    "input %w: float[16,8,3,3] input %b: float[16] input %u: float[16,16,1,1] "
    "%c: float[1,16,4,4] = Conv(%x, %w, %b) @stem ";

TEST_CASE("runtime: each kind of group fuses") {
  auto body = [&](const std::string& rest) {
    return measure_body(kStem + rest);
  };
  SUBCASE("Clip to [-1, 1]") {
    Measured m = body("%r = Clip(%c, %low, %high) %y = Conv(%r, %u)");
    CHECK(m.count("QLinearConv") == 2);
    CHECK(m.count("Clip") == 0);
    CHECK(m.worst_sqnr_db > 25);
  }
  SUBCASE("depthwise, LeakyRelu, Mul by Sigmoid") {
    Measured m = body(
        "input %d: float[16,1,3,3] %h = Conv(%c, %d) {group = 16, pads = [1, "
        "1, 1, 1]} %l = LeakyRelu(%h) %s = Sigmoid(%l) %g = Mul(%l, %s) "
        "%y = Conv(%g, %u)");
    CHECK(m.count("QLinearConv") == 3);
    CHECK(m.count("QLinearLeakyRelu") == 1);
    CHECK(m.count("QLinearSigmoid") == 1);
    CHECK(m.count("QLinearMul") == 1);
    CHECK(m.count("QuantizeLinear") + m.count("DequantizeLinear") == 2);
    CHECK(m.worst_sqnr_db > 20);
  }
  SUBCASE("pools, Concat, Split, Resize, Transpose") {
    Measured m = body(
        "init %sizes = int64[2] {8, 8} init %scales = float[4] {1, 1, 2, 2} "
        "%a, %e = Split(%c, %sizes) {axis = 1} "
        "%p = MaxPool(%a) {kernel_shape = [3, 3], pads = [1, 1, 1, 1]} "
        "%q = AveragePool(%e) {kernel_shape = [3, 3], pads = [1, 1, 1, 1]} "
        "%t = Concat(%p, %q) {axis = 1} %up = Resize(%t, _, %scales) "
        "{mode = \"nearest\"} %tr = Transpose(%up) {perm = [0, 1, 3, 2]} "
        "%y = Conv(%tr, %u)");
    CHECK(m.count("QLinearConv") == 2);
    CHECK(m.count("QLinearAveragePool") == 1);
    CHECK(m.count("QLinearConcat") == 1);
    CHECK(m.count("QuantizeLinear") + m.count("DequantizeLinear") == 2);
    CHECK(m.worst_sqnr_db > 25);
  }
  SUBCASE("Pad and Relu on codes") {
    Measured m = body(
        "init %pads = int64[8] {0, 0, 1, 1, 0, 0, 1, 1} init %f = float[] "
        "{0.5} %p = Pad(%c, %pads, %f) %r = Relu(%p) %y = Conv(%r, %u)");
    CHECK(m.count("QLinearConv") == 2);
    CHECK(m.count("Pad") == 1);
    CHECK(m.count("QuantizeLinear") + m.count("DequantizeLinear") == 2);
    CHECK(m.worst_sqnr_db > 25);
  }
  SUBCASE("Gemm, both ways round") {
    for (const char* gemm :
         {"input %v: float[36,24] %y = Gemm(%m, %v, %k)",
          "input %vt: float[24,36] %y = Gemm(%m, %vt, %k) {transB = 1}"}) {
      Measured m = measure_body(
          std::string("init %shape = int64[2] {8, 36} input %k: float[24] "
                      "%m = Reshape(%x, %shape) ") +
          gemm);
      CHECK(m.count("QGemm") == 1);
      CHECK(m.count("DequantizeLinear") == 0);
      CHECK(m.worst_sqnr_db > 25);
    }
  }
  SUBCASE("MatMul, to codes and to float") {
    Measured m = measure_body(
        "init %shape = int64[3] {1, 8, 36} input %v: float[36,24] "
        "input %vt: float[24,36] %m = Reshape(%x, %shape) %h = MatMul(%m, %v) "
        "%r = Relu(%h) %y = MatMul(%r, %vt)");
    CHECK(m.count("QLinearMatMul") == 1);
    CHECK(m.count("MatMulIntegerToFloat") == 1);
    CHECK(m.count("DequantizeLinear") == 0);
    CHECK(m.worst_sqnr_db > 25);
  }
  SUBCASE("one dimension, and three") {
    Measured m = measure_body(
        "init %shape = int64[3] {1, 8, 36} input %line: float[4,8,3] "
        "%m = Reshape(%x, %shape) %y = Conv(%m, %line)");
    CHECK(m.count("QLinearConv") == 1);
    CHECK(m.worst_sqnr_db > 25);
    m = measure_body(
        "init %shape = int64[5] {1, 1, 8, 6, 6} input %cube: float[4,1,3,3,3] "
        "%m = Reshape(%x, %shape) %y = Conv(%m, %cube)");
    CHECK(m.count("QLinearConv") == 1);
    CHECK(m.worst_sqnr_db > 25);
  }
  SUBCASE("groups, dilation, strides") {
    Measured m = body(
        "input %grouped: float[16,4,3,3] %y = Conv(%c, %grouped) {group = 4, "
        "dilations = "
        "[2, 2], strides = [2, 2], pads = [2, 2, 2, 2]}");
    CHECK(m.count("QLinearConv") == 2);
    CHECK(m.worst_sqnr_db > 25);
  }
}

// A sum after an integer product: the kernel that is made of it, and whether
// the Add is left.
TEST_CASE("runtime: a sum after MatMul leaves it an integer kernel") {
  struct Row {
    const char *input, *operand, *kernel;
    int adds;
  };
  const char* const kInteger = "MatMulIntegerToFloat";
  for (const Row& row :
       {Row{"8,36", "init %o: float[24]", "QGemm", 0},
        Row{"8,36", "init %o: float[1,24]", "QGemm", 0},
        Row{"8,36", "init %o: float[8,24]", "QGemm", 1},
        Row{"8,36", "init %o: float[8,1]", "QGemm", 1},
        Row{"8,36", "init %o: float[1]", kInteger, 1},
        Row{"8,36", "input %o: float[8,24]", "QGemm", 1},
        Row{"8,36", "input %o: float[24]", "QGemm", 1},
        Row{"36", "init %o: float[24]", "QGemm", 0},
        Row{"1,8,36", "init %o: float[24]", "QGemm", 0},
        Row{"2,2,8,36", "init %o: float[24]", "QGemm", 0},
        Row{"1,8,36", "init %o: float[1,1,24]", kInteger, 1},
        Row{"1,8,36", "init %o: float[8,24]", kInteger, 1},
        Row{"1,8,36", "input %o: float[24]", kInteger, 1},
        Row{"1,8,36", "input %o: float[1,8,24]", kInteger, 1}}) {
    for (bool swapped : {false, true}) {
      for (QuantizeOptions options :
           {QuantizeOptions{},
            QuantizeOptions{.activation_type = ir::DataType::kInt8},
            QuantizeOptions{.per_channel = false}}) {
        std::string operand = row.operand;
        CAPTURE(row.input);
        CAPTURE(operand);
        CAPTURE(swapped);
        bool constant = operand.starts_with("init");
        operand = "input" + operand.substr(operand.find(' '));
        ir::Model model = ir::parse_text(
            "opset 17 graph { input %x: float[" + std::string(row.input) +
            "] input %w: float[36,24] " + operand + " %h = MatMul(%x, %w) " +
            (swapped ? "%s = Add(%o, %h)" : "%s = Add(%h, %o)") +
            " %y = Erf(%s) output %y }");
        for (const char* name : {"w", "o"}) {
          ir::Value* value = model.graph->find(name);
          if (!constant && value->name() == "o") continue;
          Random random(derive_seed(2, name));
          std::vector<double> values(*value->type.element_count());
          for (double& v : values) v = random.normal() * 0.3;
          value->set_tensor(ir::Tensor::from_doubles(
              ir::DataType::kFloat, ir::to_dims(*value->type.shape), values));
          model.graph->remove_input(value);
        }
        Measured m = measure(std::move(model), options);
        CHECK(m.count(row.kernel) == 1);
        CHECK(m.count("Add") == row.adds);
        CHECK(float_compute(m) == 0);
        CHECK(m.dequantized_products == 0);
        CHECK(m.count("DequantizeLinear") == 0);
        CHECK(m.worst_sqnr_db > 30);
      }
    }
  }
}

TEST_CASE("runtime: a bias beyond int32 stays out of the product") {
  for (const char* dims : {"8,36", "1,8,36"}) {
    CAPTURE(dims);
    std::string shape = std::string(dims) == "8,36" ? "2" : "3";
    Measured m = measure_body(
        "init %shape = int64[" + shape + "] {" + dims +
        "} init %tiny = float[36,1] {" +
        [] {
          std::string values = "1e-9";
          for (int i = 1; i < 36; ++i) values += ", 1e-9";
          return values;
        }() +
        "} init %large = float[1] {1000} %m = Reshape(%x, %shape) "
        "%h = MatMul(%m, %tiny) %s = Add(%h, %large) %y = Erf(%s)");
    CHECK(m.count("Add") == 1);
    CHECK(float_compute(m) == 0);
    CHECK(m.worst_sqnr_db > 40);
  }
}

// One encoder layer: projections, attention, a feed-forward block, residuals.
TEST_CASE("runtime: every linear layer of a transformer is an integer kernel") {
  ir::Model model = ir::parse_text(R"(opset 17
graph {
  input %x: float[1,8,32]
  input %wq: float[32,32] input %wk: float[32,32] input %wv: float[32,32]
  input %wo: float[32,32] input %wi: float[32,64] input %wd: float[64,32]
  input %bq: float[32] input %bk: float[32] input %bv: float[32]
  input %bo: float[32] input %bi: float[64] input %bd: float[32]
  input %g: float[32] input %h: float[32]
  init %heads = int64[4] {1, 8, 2, 16}
  init %joined = int64[3] {1, 8, 32}
  init %root = float[] {4}
  init %two = float[] {1.4142135}
  init %one = float[] {1}
  init %half = float[] {0.5}
  %q1 = MatMul(%x, %wq) %q2 = Add(%q1, %bq) %q3 = Reshape(%q2, %heads)
  %q = Transpose(%q3) {perm = [0, 2, 1, 3]}
  %k1 = MatMul(%x, %wk) %k2 = Add(%k1, %bk) %k3 = Reshape(%k2, %heads)
  %k = Transpose(%k3) {perm = [0, 2, 3, 1]}
  %v1 = MatMul(%x, %wv) %v2 = Add(%v1, %bv) %v3 = Reshape(%v2, %heads)
  %v = Transpose(%v3) {perm = [0, 2, 1, 3]}
  %s1 = MatMul(%q, %k) %s2 = Div(%s1, %root) %s = Softmax(%s2)
  %c1 = MatMul(%s, %v) %c2 = Transpose(%c1) {perm = [0, 2, 1, 3]}
  %c = Reshape(%c2, %joined)
  %o1 = MatMul(%c, %wo) %o2 = Add(%bo, %o1) %o3 = Add(%o2, %x)
  %o = LayerNormalization(%o3, %g, %h)
  %f1 = MatMul(%o, %wi) %f2 = Add(%f1, %bi) %f3 = Div(%f2, %two)
  %f4 = Erf(%f3) %f5 = Add(%f4, %one) %f6 = Mul(%f2, %f5)
  %f = Mul(%f6, %half)
  %d1 = MatMul(%f, %wd) %d2 = Add(%d1, %bd) %d3 = Add(%d2, %o)
  %y = LayerNormalization(%d3, %g, %h)
  output %y
})");
  for (ir::Value* value : model.graph->values()) {
    if (!value->is_graph_input() || value->name() == "x") continue;
    Random random(derive_seed(3, value->name()));
    std::vector<double> values(*value->type.element_count());
    for (double& v : values) v = random.normal() * 0.25;
    value->set_tensor(ir::Tensor::from_doubles(
        ir::DataType::kFloat, ir::to_dims(*value->type.shape), values));
    model.graph->remove_input(value);
  }
  Measured m = measure(std::move(model));
  CHECK(m.dequantized_products == 0);
  CHECK(m.count("Gemm") == 0);
  // Six layers; the scores and the weighted sum depend on the runtime.
  CHECK(m.count("QGemm") + m.count("QLinearMatMul") +
            m.count("MatMulIntegerToFloat") >=
        6);
  CHECK(m.count("MatMul") == static_cast<int>(m.result.remarks.size()));
  CHECK(m.worst_sqnr_db > 25);
}

TEST_CASE("runtime: other options load and are as near") {
  const std::string body = std::string(kStem) +
                           "%r = Relu(%c) %h = Conv(%r, %u) %s = Add(%h, %r) "
                           "%y = Relu(%s)";
  CHECK(measure_body(body).worst_sqnr_db > 25);
  CHECK(measure_body(body, {.activation_type = ir::DataType::kInt8})
            .worst_sqnr_db > 25);
  CHECK(measure_body(body, {.per_channel = false}).worst_sqnr_db > 25);
  Measured none = measure_body(body, {.exclude_operators = {"Conv"}});
  CHECK(none.worst_sqnr_db > 150);
  CHECK(none.result.remarks.size() == 2);
}

TEST_CASE("runtime: a bias far beyond its weights stays exact enough") {
  Measured m = measure_body(
      "init %tiny = float[1,8,1,1] {1e-8, 1e-8, 1e-8, 1e-8, 1e-8, 1e-8, 1e-8, "
      "1e-8} init %large = float[1] {1000} %y = Conv(%x, %tiny, %large)");
  CHECK(m.count("QLinearConv") == 1);
  CHECK(m.worst_sqnr_db > 40);
}

TEST_CASE("runtime: a model that is all in subgraphs is left alone") {
  std::string file = "models/vad_silero/silero_vad.onnx";
  if (lathe::test::shared_file(file).empty()) return;
  ir::Model model = io::import_onnx(lathe::test::shared_dir() / file);
  PassContext context;
  rewrite::make_simplify()->run(model, context);
  std::string before = ir::to_text(model);
  FixedRanges collector;
  context.ranges = &collector;
  PassResult result = make_quantize_static({})->run(model, context);
  CHECK(result.changes == 0);
  CHECK(ir::to_text(model) == before);
  CHECK(result.remarks.size() == 14);
  CHECK(collector.asked.empty());
}

TEST_CASE("runtime: the same run gives the same model") {
  if (lathe::test::shared_file("models/cifar10_resnet20").empty()) return;
  std::string first;
  for (int i = 0; i < 2; ++i) {
    ir::Model model = io::import_onnx(lathe::test::shared_dir() /
                                      "models/cifar10_resnet20/model.onnx");
    PassContext context;
    rewrite::make_simplify()->run(model, context);
    NoiseSource data(model, 2);
    auto collector = ranges::make_min_max_collector(data, 0, 1 + i);
    context.ranges = collector.get();
    make_quantize_static({})->run(model, context);
    std::string bytes = io::export_onnx_bytes(model);
    if (i == 0) first = bytes;
    CHECK(bytes == first);
  }
}

}  // namespace
}  // namespace lathe::quantize::test
