// Quantization beside the runtime, and what training puts in its place.
#include "passes/exec/fake_quantize.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

// Codes of numbers in [-0.5, 0.5).
std::string quantize(const std::string& inits, const std::string& inputs,
                     const std::string& attributes = "") {
  return "input %raw: float[4,6,3] init %half = float[] {0.5} "
         "%x = Sub(%raw, %half) " +
         inits + " %y = QuantizeLinear(" + inputs + ") " + attributes +
         " output %y";
}

TEST_CASE("exec QuantizeLinear: types, rounding and saturation") {
  same_as_runtime(quantize("init %s = float[] {0.01}", "%x, %s"));
  same_as_runtime(quantize("init %s = float[] {0.003} init %z = uint8[] {100}",
                           "%x, %s, %z"));
  same_as_runtime(quantize("init %s = float[] {0.003} init %z = int8[] {-7}",
                           "%x, %s, %z"));
  same_as_runtime(quantize("init %s = float[1] {0.01} init %z = int8[1] {3}",
                           "%x, %s, %z"));
  // Halves go to even.
  const auto out = run_program(
      "input %x: float[6] init %s = float[] {2.0} init %z = int8[] {1} "
      "%y = QuantizeLinear(%x, %s, %z) output %y",
      {at::tensor(std::vector<float>{-3, -1, 1, 3, 5, 1000})});
  const int expected[] = {-1, 1, 1, 3, 3, 127};
  for (int64_t i = 0; i < 6; ++i)
    CHECK(out[0][i].item<int64_t>() == expected[i]);
}

TEST_CASE("exec QuantizeLinear: along an axis and in blocks") {
  const std::string three =
      "init %s = float[3] {0.01, 0.004, 0.002} init %z = int8[3] {0, 5, -9}";
  same_as_runtime(quantize(three, "%x, %s, %z", "{axis = 2}"));
  same_as_runtime(quantize(three, "%x, %s, %z", "{axis = -1}"));
  same_as_runtime(quantize(
      "init %s = float[6] {0.01, 0.02, 0.03, 0.04, 0.05, 0.06}", "%x, %s"));
  same_as_runtime(
      "input %x: float[2,6] init %s = float[2,2] {0.01, 0.02, 0.03, 0.04} "
      "init %z = uint8[2,2] {1, 2, 3, 4} "
      "%y = QuantizeLinear(%x, %s, %z) {axis = 1, block_size = 3} output %y",
      {.opset = 21});
}

TEST_CASE("exec QuantizeLinear: the types of opset 21") {
  same_as_runtime(quantize("init %s = float[] {0.00001} "
                           "init %z = uint16[] {30000}",
                           "%x, %s, %z"),
                  {.opset = 21});
  same_as_runtime(quantize("init %s = float[] {0.00001} init %z = int16[] {-5}",
                           "%x, %s, %z"),
                  {.opset = 21});
  same_as_runtime(
      quantize("init %s = float[] {0.00001}", "%x, %s", "{output_dtype = 5}"),
      {.opset = 21});
}

TEST_CASE("exec DequantizeLinear") {
  auto check = [](const std::string& type, const std::string& parameters,
                  const std::string& inputs, const std::string& attributes = "",
                  int64_t opset = 17) {
    same_as_runtime("input %x: " + type + "[2,4] " + parameters +
                        " %y = DequantizeLinear(" + inputs + ") " + attributes +
                        " output %y",
                    {.opset = opset});
  };
  for (const char* type : {"uint8", "int8"}) {
    check(type, "init %s = float[] {0.5}", "%x, %s");
    check(type,
          "init %s = float[] {0.5} init %z = " + std::string(type) + "[] {100}",
          "%x, %s, %z");
    check(type,
          "init %s = float[2] {0.5, 0.1} init %z = " + std::string(type) +
              "[2] {1, 100}",
          "%x, %s, %z", "{axis = 0}");
  }
  check("int32", "init %s = float[] {0.5}", "%x, %s");
  for (const char* type : {"uint16", "int16"})
    check(
        type,
        "init %s = float[] {0.5} init %z = " + std::string(type) + "[] {1000}",
        "%x, %s, %z", "", 21);
  check("int8",
        "init %s = float[2,2] {0.5, 0.25, 2.0, 0.125} "
        "init %z = int8[2,2] {1, 2, 3, 4}",
        "%x, %s, %z", "{axis = 1, block_size = 2}", 21);
}

TEST_CASE("exec DequantizeLinear: weights of 4 bits") {
  same_as_runtime(
      "input %x: float[2,4] init %w = int4[2,4] {-8, 7, 1, -1, 0, 3, -4, 5} "
      "init %s = float[2] {0.5, 0.25} "
      "%d = DequantizeLinear(%w, %s) {axis = 0} %y = Add(%x, %d) output %y",
      {.opset = 21});
  same_as_runtime(
      "input %x: float[2,4] init %w = uint4[2,4] {0, 15, 1, 8, 0, 3, 14, 5} "
      "init %s = float[] {0.5} init %z = uint4[] {8} "
      "%d = DequantizeLinear(%w, %s, %z) %y = Add(%x, %d) output %y",
      {.opset = 21});
}

TEST_CASE("exec DynamicQuantizeLinear") {
  same_as_runtime(
      "input %raw: float[4,6] init %h = float[] {0.3} %x = Sub(%raw, %h) "
      "%y, %s, %z = DynamicQuantizeLinear(%x) output %y output %s output %z");
  const auto out = run_program(
      "input %x: float[3] %y, %s, %z = DynamicQuantizeLinear(%x) "
      "output %y output %s output %z",
      {at::zeros({3})});
  CHECK(out[1].item<float>() == 1.0f);
  CHECK(out[2].item<int64_t>() == 0);
}

TEST_CASE("fake_quantize is DequantizeLinear of QuantizeLinear") {
  const at::Tensor x = at::randn({4, 3});
  const at::Tensor scale = at::tensor(std::vector<float>{0.01f, 0.02f, 0.3f});
  const at::Tensor zero = at::tensor(std::vector<int64_t>{-3, 0, 40});
  const auto expected = run_program(
      "input %x: float[4,3] input %s: float[3] input %z: int8[3] "
      "%q = QuantizeLinear(%x, %s, %z) {axis = 1} "
      "%y = DequantizeLinear(%q, %s, %z) {axis = 1} output %y",
      {x, scale, zero.to(at::kChar)});
  CHECK(at::equal(exec::fake_quantize(x, scale, zero, 1, -128, 127),
                  expected[0]));
}

TEST_CASE("fake_quantize: gradients") {
  at::Tensor x =
      at::tensor(std::vector<double>{-3, -0.26, 0.1, 0.24, 3}, at::kDouble);
  at::Tensor scale = at::full({}, 0.1, at::kDouble);
  x.set_requires_grad(true);
  scale.set_requires_grad(true);
  exec::fake_quantize(x, scale, at::Tensor(), 0, -8, 7).sum().backward();
  const double inside[] = {0, 1, 1, 1, 0};
  for (int64_t i = 0; i < 5; ++i)
    CHECK(x.grad()[i].item<double>() == inside[i]);
  // -8 + (-3 + 2.6) + (1 - 1) + (2 - 2.4) + 7
  CHECK(scale.grad().item<double>() == doctest::Approx(-1.8));
}

TEST_CASE("fake_quantize: a scale's gradient has its shape") {
  at::Tensor x = at::randn({3, 2});
  at::Tensor scale = at::full({2}, 0.1);
  at::Tensor blocks = at::full({3, 1}, 0.1);
  scale.set_requires_grad(true);
  blocks.set_requires_grad(true);
  exec::fake_quantize(x, scale, at::Tensor(), -1, -8, 7).sum().backward();
  CHECK(scale.grad().sizes() == scale.sizes());
  exec::fake_quantize(x, blocks, at::Tensor(), 1, -8, 7, 2).sum().backward();
  CHECK(blocks.grad().sizes() == blocks.sizes());
  // Only what requires a gradient is asked for.
  CHECK_FALSE(x.grad().defined());
}

// The initializers %w and %s of the graph are parameters.
struct Trained {
  explicit Trained(const std::string& body, int64_t opset = 21) {
    exec::CompileOptions options;
    options.trainable = [](const ir::Value& value) {
      return value.name() == "w" || value.name() == "s";
    };
    const auto program =
        exec::Program::compile(exec_model(body + " output %y", opset), options);
    result = program->run({})[0];
    // Weighted, so that elements count differently.
    at::Tensor weights = at::arange(1, result.numel() + 1, at::kFloat);
    (result * weights.reshape(result.sizes())).sum().backward();
    for (const auto& [name, tensor] : program->parameters())
      (name == "w" ? w : s) = tensor;
  }
  at::Tensor result, w, s;
};

// Values and gradients are those of fake_quantize.
void trains_as_fake_quantize(const Trained& found, const at::Tensor& zero,
                             int64_t axis, double low, double high,
                             int64_t block_size = 0) {
  at::Tensor w = found.w.detach().clone().set_requires_grad(true);
  at::Tensor s = found.s.detach().clone().set_requires_grad(true);
  const at::Tensor y =
      exec::fake_quantize(w, s, zero, axis, low, high, block_size);
  CHECK(found.result.equal(y));
  (y * at::arange(1, y.numel() + 1, at::kFloat).reshape(y.sizes()))
      .sum()
      .backward();
  REQUIRE(found.w.grad().defined());
  REQUIRE(found.s.grad().defined());
  CHECK(found.w.grad().equal(w.grad()));
  CHECK(found.s.grad().equal(s.grad()));
  // Some are inside the range, some are not.
  CHECK((w.grad() == 0).any().item<bool>());
  CHECK((w.grad() != 0).any().item<bool>());
  CHECK((s.grad() != 0).any().item<bool>());
}

constexpr const char* kTrainedWeights =
    "init %w = float[2,4] {0.3, -0.8, 1.26, 0.11, -0.42, 0.07, 2.0, -1.6} ";

TEST_CASE("exec: Q and DQ train through one scale a channel") {
  const std::string text = std::string(kTrainedWeights) +
                           "init %s = float[2] {0.1, 0.2} "
                           "init %z = int4[2] {0, 0} "
                           "%q = QuantizeLinear(%w, %s, %z) {axis = 0} "
                           "%y = DequantizeLinear(%q, %s, %z) {axis = 0}";
  trains_as_fake_quantize(Trained(text), {}, 0, -8, 7);
}

TEST_CASE("exec: Q and DQ train through one scale a block") {
  const std::string text =
      std::string(kTrainedWeights) +
      "init %s = float[2,2] {0.1, -0.12, 0.04, 0.2} "
      "init %z = uint4[2,2] {8, 7, 8, 9} "
      "%q = QuantizeLinear(%w, %s, %z) {axis = 1, block_size = 2} "
      "%y = DequantizeLinear(%q, %s, %z) {axis = 1, block_size = 2}";
  const at::Tensor zero =
      at::tensor(std::vector<int64_t>{8, 7, 8, 9}).reshape({2, 2});
  trains_as_fake_quantize(Trained(text), zero, 1, 0, 15, 2);
}

TEST_CASE("exec: Q and DQ train through a Clip of the codes") {
  const std::string text = std::string(kTrainedWeights) +
                           "init %s = float[] {0.05} init %z = int8[] {0} "
                           "init %lo = int8[] {-7} init %hi = int8[] {9} "
                           "%q = QuantizeLinear(%w, %s, %z) "
                           "%c = Clip(%q, %lo, %hi) "
                           "%y = DequantizeLinear(%c, %s, %z)";
  trains_as_fake_quantize(Trained(text, 17), {}, 1, -7, 9);
  // A bound alone.
  const std::string low = std::string(kTrainedWeights) +
                          "init %s = float[] {0.01} init %z = int8[] {0} "
                          "init %lo = int8[] {-7} "
                          "%q = QuantizeLinear(%w, %s, %z) "
                          "%c = Clip(%q, %lo) "
                          "%y = DequantizeLinear(%c, %s, %z)";
  trains_as_fake_quantize(Trained(low, 17), {}, 1, -7, 127);
}

TEST_CASE("exec: codes that something else reads are computed") {
  const auto out = run_program(
      "input %x: float[2] init %s = float[] {0.5} init %z = int8[] {0} "
      "init %hi = int8[] {3} %q = QuantizeLinear(%x, %s, %z) "
      "%c = Clip(%q, _, %hi) %y = DequantizeLinear(%c, %s, %z) "
      "output %y output %q output %c",
      {at::tensor(std::vector<float>{-1, 9})});
  CHECK(out[0].equal(at::tensor(std::vector<float>{-1, 1.5f})));
  CHECK(out[1].equal(at::tensor(std::vector<int8_t>{-2, 18})));
  CHECK(out[2].equal(at::tensor(std::vector<int8_t>{-2, 3})));
}

}  // namespace
}  // namespace lathe::test
