#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "tests/passes/quantize/reference_support.h"

namespace lathe::quantize::test {
namespace {

using Remarks = std::vector<Remark>;

// One scale of 0.01 for all weights: those of the second channel are 1.4 steps,
// so that its sum of four lacks 0.016. %c has steps of 0.01.
constexpr const char* kTwoConvs = R"(opset 17 graph {
  input %x: float[1,4,2,2]
  init %w = float[2,4,1,1] {1.27, 0, 0, 0, 0.014, 0.014, 0.014, 0.014}
  init %b = float[2] {0.5, 0.204}
  init %v = float[1,2,1,1] {1.27, 1.27}
  init %k = float[1] {0}
  %c = Conv(%x, %w, %b) @first
  %y = Conv(%c, %v, %k) @second
  output %y
})";
const std::map<std::string, Range> kRanges{
    {"x", {0, 2.55f}}, {"c", {0, 2.55f}}, {"y", {0, 5.1f}}};
const QuantizeOptions kPerTensor{.per_channel = false};

GivenSamples ones(const std::vector<int64_t>& dims) {
  return samples_of_x(2, dims, [](size_t, size_t) { return 1.0f; });
}

TEST_CASE("bias_correction: a shift is recovered, layer after layer") {
  const Pair pair(kTwoConvs, kRanges, kPerTensor);
  CHECK(codes_of<int32_t>(pair.quantized, "first", 2) ==
        std::vector<int32_t>{5000, 2040});
  GivenSamples data = ones({1, 4, 2, 2});
  const Outcome outcome = pair.run(make_bias_correction({}), data);
  CHECK(codes_of<int32_t>(outcome, "first", 2) ==
        std::vector<int32_t>{5000, 2200});
  // With the first layer corrected nothing is left for the second: it would be
  // 2 steps of 0.01 without.
  CHECK(codes_of<int32_t>(outcome, "second", 2) == std::vector<int32_t>{0});
  CHECK(outcome.result.changes == 1);
  CHECK(outcome.result.remarks.empty());
}

TEST_CASE("bias_correction: an input channel that was added, and a Relu") {
  std::string weights = "1.27", biases = "0.2";
  for (int i = 1; i < 48; ++i) weights += ", 0.014";
  for (int i = 1; i < 16; ++i) biases += ", 0.2";
  const std::string text =
      "opset 17 graph { input %x: float[1,3,2,2] init %w = float[16,3,1,1] {" +
      weights + "} init %b = float[16] {" + biases +
      "} %c = Conv(%x, %w, %b) @conv %y = Relu(%c) @relu output %y }";
  const Pair pair(text, kRanges, kPerTensor);
  REQUIRE(codes_of<int8_t>(pair.quantized, "conv", 1).size() == 64);
  GivenSamples data = ones({1, 3, 2, 2});
  const Outcome outcome = pair.run(make_bias_correction({}), data);
  const auto codes = codes_of<int32_t>(outcome, "conv", 2);
  CHECK(codes[0] == 2080);
  for (size_t c = 1; c < codes.size(); ++c) CHECK(codes[c] == 2120);
}

TEST_CASE("bias_correction: products, and an Add that the runtime merges") {
  const Pair pair(R"(opset 17 graph {
    input %x: float[1,4]
    init %w = float[4,2] {1.27, 0.014, 0, 0.014, 0, 0.014, 0, 0.014}
    init %b = float[2] {0.5, 0.204}
    %p = MatMul(%x, %w) @product
    %y = Add(%p, %b) @sum
    %z = Gemm(%x, %w, %b) @gemm
    output %y
    output %z
  })",
                  kRanges, kPerTensor);
  GivenSamples data = ones({1, 4});
  const Outcome outcome = pair.run(make_bias_correction({}), data);
  const std::vector<int32_t> expected{5000, 2200};
  CHECK(codes_of<int32_t>(outcome, "sum", 1) == expected);
  CHECK(codes_of<int32_t>(outcome, "gemm", 2) == expected);
  CHECK(outcome.result.changes == 2);
}

TEST_CASE("bias_correction: a bias is added where it matters") {
  const char* text = R"(opset 17 graph {
    input %x: float[1,4,2,2]
    init %w = float[2,4,1,1] {1.27, 0, 0, 0, 0.014, 0.014, 0.014, 0.014}
    %y = Conv(%x, %w) @conv
    output %y
  })";
  GivenSamples data = ones({1, 4, 2, 2});
  const Pair pair(text, kRanges, kPerTensor);
  const Outcome added = pair.run(make_bias_correction({}), data);
  REQUIRE(added.source("conv", 2) == "DequantizeLinear");
  CHECK(codes_of<int32_t>(added, "conv", 2) == std::vector<int32_t>{0, 160});
  CHECK(added.node("conv")
            ->input(2)
            ->producer()
            ->input(1)
            ->tensor()
            .data<float>()[0] == doctest::Approx(1e-4));
  // 0.016 is less than a quarter of 0.1.
  const Pair coarse(text, {{"x", {0, 2.55f}}, {"y", {0, 25.5f}}}, kPerTensor);
  const Outcome left = coarse.run(make_bias_correction({}), data);
  CHECK(left.node("conv")->input(2) == nullptr);
  CHECK(left.result.changes == 0);
  CHECK(left.result.remarks ==
        Remarks{{"conv",
                 "it has no bias, and no channel is off by a quarter of a step "
                 "of its result"}});
}

TEST_CASE("bias_correction: layers left alone") {
  const Pair pair(R"(opset 17 graph {
    input %x: float[1,4]
    init %w = float[4,4] {1.27, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
    init %u = float[4,4] {1.27, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
    init %v = float[4,4] {1.27, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}
    %a = MatMul(%x, %w) @bare
    %b = MatMul(%a, %u) @changed
    %y = MatMul(%b, %v) @floating
    output %y
  })",
                  {}, {.exclude_nodes = {"floating"}});
  Pair other =
      Pair(ir::to_text(pair.reference), {}, {.exclude_nodes = {"floating"}});
  other.reference.graph->find("u")->set_tensor(
      ir::Tensor::from<float>({4, 4}, std::vector<float>(16, 0.5f)));
  GivenSamples data = ones({1, 4});
  const Outcome outcome = other.run(make_bias_correction({}), data);
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.result.remarks ==
        Remarks{{"changed",
                 "its weights are not those of the float model: another pass "
                 "rewrote them"},
                {"floating", "it is not quantized"},
                {"bare",
                 "a MatMul has no bias that could be corrected unless the "
                 "runtime merges an Add into it"}});
}

TEST_CASE("bias_correction: a node that the float model does not have") {
  Pair pair(kTwoConvs, kRanges, kPerTensor);
  for (const auto& node : pair.reference.graph->nodes()) node->name += "_old";
  GivenSamples data = ones({1, 4, 2, 2});
  CHECK(pair.run(make_bias_correction({}), data).result.remarks ==
        Remarks{{"first", "the float model has no such node"},
                {"second", "the float model has no such node"}});
}

TEST_CASE("bias_correction: nodes without names go by their outputs") {
  const Pair pair(R"(opset 17 graph {
    input %x: float[1,4,2,2]
    init %w = float[2,4,1,1] {1.27, 0, 0, 0, 0.014, 0.014, 0.014, 0.014}
    init %b = float[2] {0.5, 0.204}
    %c = Conv(%x, %w, %b)
    output %c
  })",
                  kRanges, kPerTensor);
  GivenSamples data = ones({1, 4, 2, 2});
  const Outcome outcome = pair.run(make_bias_correction({}), data);
  CHECK(outcome.result.remarks.empty());
  CHECK(outcome.result.changes == 1);
}

TEST_CASE("bias_correction: codes stay in the safe range of int32") {
  // The bias takes 2^30 - 100 codes and would need 160 more.
  const Pair pair(R"(opset 17 graph {
    input %x: float[1,4,2,2]
    init %w = float[2,4,1,1] {1.27, 0, 0, 0, 0.014, 0.014, 0.014, 0.014}
    init %b = float[2] {0, 107374.1724}
    %y = Conv(%x, %w, %b) @conv
    output %y
  })",
                  kRanges, kPerTensor);
  Outcome given{ir::clone(pair.quantized.model), {}, {}};
  GivenSamples data = ones({1, 4, 2, 2});
  const Outcome outcome = pair.run(make_bias_correction({}), data);
  CHECK(codes_of<int32_t>(outcome, "conv", 2)[1] <= (1 << 30));
  // Float's own precision at such a bias is beyond the correction.
  for (const Remark& remark : outcome.result.remarks)
    CHECK(remark.reason ==
          "a bias would leave the safe range of int32 and stops at its end");
}

TEST_CASE("bias_correction: values that are not finite are left out") {
  const Pair pair(kTwoConvs, kRanges, kPerTensor);
  GivenSamples data = samples_of_x(1, {1, 4, 2, 2}, [](size_t, size_t) {
    return std::numeric_limits<float>::infinity();
  });
  const Outcome outcome = pair.run(make_bias_correction({}), data);
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.result.remarks ==
        Remarks{{"first", "its result is not finite over the samples"},
                {"second", "its result is not finite over the samples"}});
}

TEST_CASE("bias_correction: what may be noise moves nothing") {
  const Pair pair(R"(opset 17 graph {
    input %x: float[1,1,2,2]
    init %w = float[1,1,1,1] {1.27}
    init %b = float[1] {0.5}
    %y = Conv(%x, %w, %b) @conv
    output %y
  })",
                  kRanges);
  // 0.4 steps of %x above a code and 0.36 below: two codes of the bias in the
  // mean, but the samples disagree.
  GivenSamples apart = samples_of_x(2, {1, 1, 2, 2}, [](size_t i, size_t) {
    return i == 0 ? 1.004f : 0.9964f;
  });
  CHECK(pair.run(make_bias_correction({}), apart).result.changes == 0);
  // Here they agree: 38 codes in the mean, with an error of a third of that.
  GivenSamples both = samples_of_x(2, {1, 1, 2, 2}, [](size_t i, size_t) {
    return i == 0 ? 1.004f : 0.982f;
  });
  CHECK(codes_of<int32_t>(pair.run(make_bias_correction({}), both), "conv",
                          2) == std::vector<int32_t>{5034});
}

TEST_CASE("bias_correction: the same for any number of jobs") {
  const Pair pair(kTwoConvs, kRanges, kPerTensor);
  Random random(3);
  GivenSamples data = samples_of_x(9, {1, 4, 2, 2}, [&](size_t, size_t) {
    return static_cast<float>(random.uniform(0, 2.5));
  });
  const std::string one = pair.run(make_bias_correction({}), data, 1).text();
  CHECK(one == pair.run(make_bias_correction({}), data, 3).text());
  CHECK(one != pair.quantized.text());
  CHECK(one != pair.run(make_bias_correction({.samples = 2}), data).text());
}

TEST_CASE("bias_correction: what it needs") {
  ir::Model model = ir::parse_text(kTwoConvs);
  PassContext context;
  CHECK_THROWS_WITH_AS(
      make_bias_correction({})->run(model, context),
      "bias_correction: it compares with the float model that was quantized, "
      "but no pass before it quantized one (put it behind quantize_static in "
      "the recipe)",
      Error);
  const ir::Model reference = ir::parse_text(kTwoConvs);
  context.reference = &reference;
  CHECK_THROWS_WITH_AS(
      make_bias_correction({})->run(model, context),
      "bias_correction: it needs samples, but none are given (give data)",
      Error);
  GivenSamples none({});
  context.data = &none;
  CHECK_THROWS_WITH_AS(
      make_bias_correction({.samples = 0})->run(model, context),
      "bias_correction: samples is 0, expected 1 or more", Error);
  const Pair pair(kTwoConvs, kRanges, kPerTensor);
  CHECK_THROWS_WITH_AS(pair.run(make_bias_correction({}), none),
                       "given samples: the data has no samples", Error);
}

}  // namespace
}  // namespace lathe::quantize::test
