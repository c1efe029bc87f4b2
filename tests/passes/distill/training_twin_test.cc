// Twins of quantized models beside the models.
#include "passes/distill/training_twin.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include <cmath>

#include "passes/base/error.h"
#include "tests/passes/distill/twin_support.h"
#include "tests/passes/quantize/random_network.h"

namespace lathe::distill::test {
namespace {

// As pairs of one row the options that change what codes and scales look like.
std::vector<quantize::QuantizeOptions> options_of_codes() {
  using ir::DataType;
  std::vector<quantize::QuantizeOptions> all(5);
  all[1].per_channel = false;
  all[2].weight_bits = 7;
  all[2].activation_symmetric = true;
  all[3].activation_type = DataType::kInt8;
  all[4].activation_type = DataType::kUint16;
  return all;
}

ir::Model quantized_network(uint64_t seed, bool blocked) {
  const auto options = options_of_codes();
  const quantize::test::RandomNetwork network(seed);
  ir::Model model = network.model();
  ir::bind_input_shapes(model, network.shapes(model));
  ir::infer_shapes(model);
  quantize::test::FixedRanges ranges;
  PassContext context;
  context.ranges = &ranges;
  quantize::make_quantize_static(options[seed % options.size()])
      ->run(model, context);
  if (blocked)
    quantize::make_block_pixels({.max_channels = 16})->run(model, context);
  return model;
}

TEST_CASE("training_twin: an untrained twin gives back the model") {
  int blocked = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    const ir::Model model = quantized_network(seed, seed % 2 == 1);
    const TrainingTwin twin(model);
    CHECK(twin.quantized());
    const auto program = compile(twin);
    ir::Model stored = ir::clone(model);
    twin.store(*program, stored);
    CHECK(different_initializers(model, stored).empty());
    CHECK(run(*program, model, seed).equal(evaluate(model, seed)));
    for (const auto& node : model.graph->nodes()) blocked += node->is("Min");
  }
  // Operators on codes were among them.
  CHECK(blocked > 0);
}

// Every parameter moves by up to a tenth.
void perturb(const TrainingTwin& twin, exec::Program& program) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  for (const auto& [name, tensor] : program.parameters())
    tensor.mul_(1 + 0.1 * (2 * at::rand_like(tensor) - 1))
        .add_(twin.info(name).kind == ParameterKind::kScale
                  ? at::zeros_like(tensor)
                  : 0.02 * at::randn_like(tensor));
  twin.clamp_scales(program);
}

// Biases as the codes of the stored model have them.
void round_biases(const TrainingTwin& twin, const ir::Model& stored,
                  exec::Program& program) {
  const at::NoGradGuard no_grad;
  const TrainingTwin again(stored);
  for (const auto& [name, tensor] : program.parameters()) {
    if (twin.info(name).kind != ParameterKind::kVector) continue;
    const at::Tensor rounded =
        exec::to_torch(again.model().graph->find(name)->tensor());
    CHECK(at::allclose(rounded, tensor, /*rtol=*/1e-5, /*atol=*/1e-3));
    tensor.copy_(rounded);
  }
}

TEST_CASE("training_twin: the stored model computes what the twin computes") {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    const ir::Model model = quantized_network(seed, seed % 2 == 1);
    const TrainingTwin twin(model);
    const auto program = compile(twin);
    perturb(twin, *program);
    ir::Model stored = ir::clone(model);
    twin.store(*program, stored);
    round_biases(twin, stored, *program);
    const at::Tensor trained = run(*program, model, seed);
    CHECK(trained.equal(evaluate(stored, seed)));
    CHECK_FALSE(trained.equal(evaluate(model, seed)));
    CHECK(ir::to_text(form_of(stored)) == ir::to_text(form_of(model)));
  }
}

constexpr const char* kConv = R"(opset 17 graph {
  input %x: float[2,1,4,4]
  init %xs = float[] {0.1} init %xz = uint8[] {10}
  init %w8 = int8[2,1,1,1] {100, -27}
  init %ws = float[2] {0.01, 0.02} init %wz = int8[2] {0, 0}
  init %b32 = int32[2] {1000, -500}
  init %bs = float[2] {0.001, 0.002} init %bz = int32[2] {0, 0}
  init %lo = float[] {-1.0} init %hi = float[] {2.0}
  init %ys = float[] {0.0117} init %yz = uint8[] {85}
  %q = QuantizeLinear(%x, %xs, %xz) %d = DequantizeLinear(%q, %xs, %xz)
  %w = DequantizeLinear(%w8, %ws, %wz) {axis = 0}
  %b = DequantizeLinear(%b32, %bs, %bz) {axis = 0}
  %c = Conv(%d, %w, %b) @conv %r = Clip(%c, %lo, %hi)
  %yq = QuantizeLinear(%r, %ys, %yz) %y = DequantizeLinear(%yq, %ys, %yz)
  output %y
})";

TEST_CASE("training_twin: kinds and gradient factors of parameters") {
  const ir::Model model = ir::parse_text(kConv);
  const TrainingTwin twin(model);
  const auto program = compile(twin);
  std::map<std::string, ParameterInfo> found;
  for (const auto& [name, tensor] : program->parameters())
    found[name] = twin.info(name);
  REQUIRE(found.size() == 5);
  CHECK(found.at("w8_float").kind == ParameterKind::kVector);
  CHECK(found.at("b").kind == ParameterKind::kVector);
  CHECK(found.at("b").gradient_factor == 1);
  // 16 elements a sample, 245 codes above the zero point.
  CHECK(found.at("xs").kind == ParameterKind::kScale);
  CHECK(found.at("xs").gradient_factor ==
        doctest::Approx(1 / std::sqrt(16 * 245.0)));
  CHECK(found.at("ys").gradient_factor ==
        doctest::Approx(1 / std::sqrt(32 * 170.0)));
  // One weight a channel, codes -127..127.
  CHECK(found.at("ws").gradient_factor ==
        doctest::Approx(1 / std::sqrt(127.0)));
  // Values keep their names.
  for (const char* name : {"q", "d", "w", "c", "r", "y"})
    CHECK(twin.model().graph->find(name)->producer() != nullptr);
}

TEST_CASE("training_twin: scales keep their sign, size and limit") {
  const ir::Model model = ir::parse_text(kConv);
  const TrainingTwin twin(model);
  const auto program = compile(twin);
  const auto scale = [&](const char* name) {
    return parameter(*program, name);
  };
  {
    const at::NoGradGuard no_grad;
    scale("xs").fill_(NAN);
    scale("ws").copy_(at::tensor(std::vector<float>{-1, INFINITY}));
    scale("ys").fill_(1);
  }
  twin.clamp_scales(*program);
  CHECK(scale("xs").item<float>() == 0.1f);
  CHECK(scale("ws")[0].item<float>() == 0.01f / 1024);
  CHECK(scale("ws")[1].item<float>() == 0.02f);
  // 170 steps above the zero point reach the Clip's 2, 85 below its -1.
  CHECK(scale("ys").item<float>() == doctest::Approx(1.0 / 85).epsilon(1e-5));
  CHECK(scale("ys").item<float>() * 170 <= 2);
}

TEST_CASE("training_twin: what the stored codes are") {
  const ir::Model model = ir::parse_text(kConv);
  const TrainingTwin twin(model);
  const auto program = compile(twin);
  {
    const at::NoGradGuard no_grad;
    // Beyond the range, and a tie.
    parameter(*program, "w8_float")
        .copy_(
            at::tensor(std::vector<float>{-2, 0.09375f}).reshape({2, 1, 1, 1}));
    parameter(*program, "ws")
        .copy_(at::tensor(std::vector<float>{0.015625f, 0.0625f}));
    parameter(*program, "xs").fill_(0.125f);
    parameter(*program, "b").copy_(at::tensor(std::vector<float>{1, 1e20f}));
  }
  ir::Model stored = ir::clone(model);
  twin.store(*program, stored);
  const auto ints = [&](const char* name) {
    return stored.graph->find(name)->tensor().to_int64s();
  };
  const auto floats = [&](const char* name) {
    return stored.graph->find(name)->tensor().to_floats();
  };
  CHECK(ints("w8") == std::vector<int64_t>{-127, 2});
  CHECK(floats("ws") == std::vector<float>{0.015625f, 0.0625f});
  CHECK(floats("xs") == std::vector<float>{0.125f});
  CHECK(floats("bs") == std::vector<float>{0.001953125f, 0.0078125f});
  CHECK(ints("b32") == std::vector<int64_t>{512, 1 << 30});
  CHECK(ints("xz") == std::vector<int64_t>{10});
}

TEST_CASE("training_twin: equal scales of one tensor become one parameter") {
  const ir::Model model = ir::parse_text(R"(opset 17 graph {
    input %x: float[1,1,4,4]
    init %s1 = float[] {0.1} init %s2 = float[] {0.1}
    init %s3 = float[] {0.1} init %s4 = float[] {0.1} init %z = uint8[] {0}
    %q = QuantizeLinear(%x, %s1, %z) %d = DequantizeLinear(%q, %s2, %z)
    %m = MaxPool(%d) {kernel_shape = [2, 2]}
    %p = QuantizeLinear(%m, %s3, %z) %y = DequantizeLinear(%p, %s4, %z)
    output %y })");
  const TrainingTwin twin(model);
  const auto program = compile(twin);
  REQUIRE(program->parameters().size() == 1);
  CHECK(program->parameters()[0].name == "s1");
  {
    const at::NoGradGuard no_grad;
    parameter(*program, "s1").fill_(0.25f);
  }
  ir::Model stored = ir::clone(model);
  twin.store(*program, stored);
  for (const char* name : {"s1", "s2", "s3", "s4"})
    CHECK(stored.graph->find(name)->tensor().to_floats()[0] == 0.25f);
}

TEST_CASE("training_twin: weights start from the float model") {
  const ir::Model model = ir::parse_text(kConv);
  const auto start = [&](const std::string& weights, const char* name) {
    const ir::Model reference = ir::parse_text(
        "opset 17 graph { input %x: float[2,1,4,4] init %w = float[2,1,1,1] {" +
        weights + "} %c = Conv(%x, %w) @" + name + " output %c }");
    return TrainingTwin(model, &reference)
        .model()
        .graph->find("w8_float")
        ->tensor()
        .to_floats();
  };
  CHECK(start("0.999, -0.525", "conv") == std::vector<float>{0.999f, -0.525f});
  CHECK(start("0.999, -0.525", "other") == std::vector<float>{0.999f, -0.525f});
  // Two codes from the model's: other weights.
  const std::vector<float> from_codes = {100 * 0.01f, -27 * 0.02f};
  CHECK(start("0.98, -0.54", "conv") == from_codes);
}

TEST_CASE("training_twin: a float model is its own twin") {
  const ir::Model model = ir::parse_text(R"(opset 17 graph {
    input %x: float[2,3] init %w = float[3,2] {1, 2, 3, 4, 5, 6}
    init %b = float[2] {1, 2}
    %m = MatMul(%x, %w) %y = Add(%m, %b) output %y })");
  const TrainingTwin twin(model);
  CHECK_FALSE(twin.quantized());
  ir::Model inferred = ir::clone(model);
  ir::infer_shapes(inferred);
  CHECK(ir::to_text(twin.model()) == ir::to_text(inferred));
  const auto program = compile(twin);
  REQUIRE(program->parameters().size() == 2);
  CHECK(twin.info("w").kind == ParameterKind::kWeight);
  CHECK(twin.info("b").kind == ParameterKind::kVector);
  {
    const at::NoGradGuard no_grad;
    parameter(*program, "b").fill_(7);
  }
  ir::Model stored = ir::clone(model);
  twin.store(*program, stored);
  CHECK(different_initializers(model, stored) == std::vector<std::string>{"b"});
}

std::string refusal(const std::string& body) {
  try {
    TrainingTwin(ir::parse_text("opset 17 opset com.microsoft 1 graph { " +
                                body + " output %y }"));
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + ": " + error.what();
  }
  return "no error";
}

TEST_CASE("training_twin: operators that compute with codes are refused") {
  CHECK(refusal("input %a: uint8[2,2] input %b: int8[2,2] "
                "%y = MatMulInteger(%a, %b) @product") ==
        "unsupported: MatMulInteger 'product': it computes with codes, which "
        "have no gradient; a quantized model is trained in QDQ form only "
        "(quantize with --scheme int8, or int4-weights or int8-weights and "
        "--form qdq)");
  CHECK(refusal("input %x: float[2,32] init %w = uint8[1,1,16] {0, 0, 0, 0, 0, "
                "0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} init %s = float[1,1] {1} "
                "%y = com.microsoft::MatMulNBits(%x, %w, %s) {K = 32, N = 1, "
                "bits = 4, block_size = 32} @nbits") ==
        "unsupported: MatMulNBits 'nbits': it computes with codes, which have "
        "no gradient; a quantized model is trained in QDQ form only (quantize "
        "with --scheme int8, or int4-weights or int8-weights and --form qdq)");
}

TEST_CASE("training_twin: one bias for layers of different scales is refused") {
  const std::string text = R"(opset 17 graph {
    input %x: float[2,2] init %xs = float[] {0.5}
    init %w8 = int8[2,2] {1, 2, 3, 4} init %u8 = int8[2,2] {5, 6, 7, 8}
    init %ws = float[] {0.25} init %us = float[] {0.25}
    init %z = int8[] {0} init %xz = uint8[] {0}
    init %b32 = int32[2] {1, 2} init %bs = float[] {0.125}
    %q = QuantizeLinear(%x, %xs, %xz) %d = DequantizeLinear(%q, %xs, %xz)
    %w = DequantizeLinear(%w8, %ws, %z) %u = DequantizeLinear(%u8, %us, %z)
    %b = DequantizeLinear(%b32, %bs)
    %f = Gemm(%d, %w, %b) @first %y = Gemm(%d, %u, %b) @second
    output %f output %y })";
  std::string message;
  try {
    TrainingTwin(ir::parse_text(text));
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message ==
        "Gemm 'second': its int32 bias 'b32' is also that of a layer with "
        "other scales, which training would move apart (give each layer a bias "
        "of its own)");
}

}  // namespace
}  // namespace lathe::distill::test
