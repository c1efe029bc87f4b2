// Options of quantize_static beside the default scheme.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/device_traits.h"
#include "passes/quantize/saturation.h"
#include "passes/quantize/weights.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

// A Conv whose neighbouring channels both have the largest weight, one where
// they have opposite signs, and a depthwise one of large weights.
constexpr const char* kThreeConvs = R"(opset 17 graph {
  input %x: float[1,2,4,4]
  init %w = float[2,2,1,1] {1, 1, 0.5, 0.25}
  init %u = float[2,2,1,1] {1, -1, -0.5, 0.5}
  init %d = float[2,1,2,1] {1, 1, 1, 1}
  %a = Conv(%x, %w) @alike
  %b = Conv(%a, %u) @opposed
  %y = Conv(%b, %d) {group = 2} @depthwise
  output %y
})";

int max_code(const Outcome& outcome, const std::string& name) {
  int most = 0;
  for (int8_t code :
       outcome.model.graph->find(name + "_quantized")->tensor().data<int8_t>())
    most = std::max(most, std::abs(code));
  return most;
}

Outcome quantize_for(const DeviceTraits& device, QuantizeOptions options,
                     const char* text = kThreeConvs,
                     std::map<std::string, Range> ranges = {}) {
  Outcome outcome{ir::parse_text(text), {}, {}};
  FixedRanges collector(std::move(ranges));
  PassContext context;
  context.ranges = &collector;
  context.device = &device;
  outcome.result = make_quantize_static(options)->run(outcome.model, context);
  ir::verify(*outcome.model.graph, "test");
  return outcome;
}

TEST_CASE("quantize_static: 7-bit weights") {
  Outcome outcome = quantize_text(kThreeConvs, {}, {.weight_bits = 7});
  for (const char* name : {"w", "u", "d"}) CHECK(max_code(outcome, name) == 63);
  CHECK(outcome.model.graph->find("w_scale")->tensor().data<float>()[1] ==
        doctest::Approx(0.5 / 63));
  CHECK(outcome.result.remarks.empty());
}

TEST_CASE("quantize_static: only layers that could saturate get 7 bits") {
  const DeviceTraits avx2{"x86-64-avx2", true, true};
  Outcome outcome = quantize_for(avx2, {});
  CHECK(max_code(outcome, "w") == 63);
  CHECK(max_code(outcome, "u") == 127);
  CHECK(max_code(outcome, "d") == 127);
  CHECK(outcome.result.remarks ==
        std::vector<Remark>{
            {"alike",
             "its weights have 7 bits: the device's kernels add two products "
             "in 16 bits, and with 8-bit weights a sum could exceed them"}});
  SUBCASE("the option has the last word") {
    Outcome ignored = quantize_for(avx2, {.pairs_saturate = false});
    CHECK(max_code(ignored, "w") == 127);
    CHECK(ignored.result.remarks.empty());
    const DeviceTraits vnni{"x86-64-avx512-vnni", true, false};
    CHECK(max_code(quantize_for(vnni, {}), "w") == 127);
    CHECK(max_code(quantize_for(vnni, {.pairs_saturate = true}), "w") == 63);
  }
  SUBCASE("activations that stay small do not saturate") {
    const char* small = R"(opset 17 graph {
      input %x: float[1,2,4,4]
      init %w = float[1,2,1,1] {1, 1}
      init %v = float[2,2,1,1] {0.01, 0.01, 0.01, 0.01}
      %a = Conv(%x, %v) @first
      %y = Conv(%a, %w) @second
      output %y })";
    Outcome full = quantize_for(avx2, {}, small, {{"a", {-1, 1}}});
    CHECK(max_code(full, "w") == 63);
    // Zero's code is 128 and nothing lies above it.
    Outcome negative = quantize_for(avx2, {.activation_symmetric = true}, small,
                                    {{"a", {-1, 0}}});
    CHECK(max_code(negative, "w") == 127);
    CHECK(negative.reason("second") == "");
  }
  SUBCASE("int8 activations count as shifted") {
    Outcome shifted =
        quantize_for(avx2, {.activation_type = ir::DataType::kInt8});
    CHECK(max_code(shifted, "w") == 63);
    CHECK(shifted.reason("") ==
          "the device 'x86-64-avx2' runs uint8 activations: what several nodes "
          "read stays in float with int8 ones");
  }
  SUBCASE("16-bit activations have no such kernels") {
    Outcome wide =
        quantize_for(avx2, {.activation_type = ir::DataType::kInt16});
    CHECK(max_code(wide, "w") == 127);
  }
}

// What VPMADDUBSW does to a column of weights in the order of a kernel.
bool column_saturates(const std::vector<int>& column, CodeRange activations) {
  for (size_t k = 0; k < column.size(); k += 2) {
    int low = 0, high = 0;
    for (size_t i = k; i < std::min(k + 2, column.size()); ++i) {
      low +=
          std::min(column[i] * activations.low, column[i] * activations.high);
      high +=
          std::max(column[i] * activations.low, column[i] * activations.high);
    }
    if (low < -32768 || high > 32767) return true;
  }
  return false;
}

TEST_CASE("saturation: no pair is missed in the order of the kernels") {
  Random random(7);
  int found = 0, said = 0;
  for (int round = 0; round < 3000; ++round) {
    auto below = [&](uint64_t n) {
      return static_cast<int64_t>(random.below(n));
    };
    const int64_t outputs = 1 + below(3), terms = 1 + below(6),
                  taps = 1 + below(3);
    const int largest = round % 3 == 0 ? 63 : 127;
    std::vector<int8_t> codes(outputs * terms * taps);
    for (int8_t& code : codes)
      code = static_cast<int8_t>(below(2) ? below(20) - 10
                                          : below(2 * largest + 1) - largest);
    const int low = static_cast<int>(below(100));
    const CodeRange activations{low, low + static_cast<int>(below(256 - low))};
    const std::string shape =
        fmt::format("float[{},{},{}]", outputs, terms, taps);
    ir::Model model = ir::parse_text(
        "opset 17 graph { input %x: float[1," + std::to_string(terms) +
        ",8] input %w: " + shape + " %y = Conv(%x, %w) output %y }");
    const std::vector<int64_t> dims{outputs, terms, taps};
    bool expected = false;
    for (int64_t o = 0; o < outputs; ++o) {
      std::vector<int> column;
      for (int64_t t = 0; t < taps; ++t)
        for (int64_t c = 0; c < terms; ++c)
          column.push_back(codes[(o * terms + c) * taps + t]);
      expected |= column_saturates(column, activations);
    }
    const bool result = pairs_can_saturate(*model.graph->nodes().front(), dims,
                                           codes, activations);
    if (expected && !(terms == 1 && outputs == 1)) CHECK(result);
    if (largest == 63) CHECK_FALSE(result);
    // Even channels leave no choice of neighbours: the answer is exact.
    if (terms % 2 == 0) CHECK(result == expected);
    found += expected;
    said += result;
  }
  CHECK(found > 100);
  CHECK(said < 2 * found);
}

TEST_CASE("saturation: both layouts of a matrix") {
  const std::vector<int8_t> rows{127, 1, 127, 1};     // [depth, columns]
  const std::vector<int8_t> columns{127, 127, 1, 1};  // the same, transposed
  const CodeRange all{0, 255};
  const std::vector<int64_t> dims{2, 2};
  CHECK(pairs_can_saturate(dims, rows, all));
  CHECK_FALSE(pairs_can_saturate(dims, columns, all));
  CHECK_FALSE(pairs_can_saturate(dims, rows, {0, 128}));
  ir::Model model = ir::parse_text(
      "opset 17 graph { input %x: float[1,2] input %w: float[2,2] "
      "%y = Gemm(%x, %w) {transB = 1} output %y }");
  const ir::Node& gemm = *model.graph->nodes().front();
  CHECK(pairs_can_saturate(gemm, dims, columns, all));
  CHECK_FALSE(pairs_can_saturate(gemm, dims, rows, all));
  // The second matrix of a stack.
  const std::vector<int64_t> stack{2, 2, 1};
  CHECK(pairs_can_saturate(stack, std::vector<int8_t>{1, 1, -127, -127}, all));
  CHECK_FALSE(
      pairs_can_saturate(stack, std::vector<int8_t>{1, 127, 1, 127}, all));
}

TEST_CASE("quantize_static: the device says which activations it wants") {
  const QuantizeOptions open{.activation_type = ir::DataType::kUndefined};
  auto type = [](const Outcome& outcome) {
    return outcome.model.graph->find("x_QuantizeLinear")->type.elem;
  };
  CHECK(type(quantize_for({"arm64-neon", false, false}, open)) ==
        ir::DataType::kInt8);
  CHECK(type(quantize_for({"x86-64-avx2", true, true}, open)) ==
        ir::DataType::kUint8);
  CHECK(type(quantize_for({"arm64-neon", false, false}, {})) ==
        ir::DataType::kUint8);
}

TEST_CASE("quantize_static: symmetric activations") {
  const char* text = R"(opset 17 graph {
    input %x: float[1,1,4,4]
    init %w = float[1,1,1,1] {1}
    %a = Conv(%x, %w) @first
    %r = Relu(%a) @relu
    %y = Conv(%r, %w) @second
    output %y })";
  const std::map<std::string, Range> ranges{{"x", {-1.27f, 1}},
                                            {"a", {-127, 12.7f}}};
  for (ir::DataType type : {ir::DataType::kUint8, ir::DataType::kInt8}) {
    Outcome outcome = quantize_text(
        text, ranges, {.activation_type = type, .activation_symmetric = true});
    auto scale = [&](const char* name) {
      return outcome.model.graph->find(name)->tensor().data<float>()[0];
    };
    CHECK(scale("x_scale") == doctest::Approx(0.01));
    // Below 0 nothing is needed: the Relu is the only reader.
    CHECK(scale("a_scale") == doctest::Approx(0.1));
    const double middle = type == ir::DataType::kUint8 ? 128 : 0;
    CHECK(outcome.model.graph->find("x_zero_point")->tensor().to_doubles()[0] ==
          middle);
    // Relu became a Clip of codes at zero's code.
    CHECK(outcome.count("Relu") == 0);
    CHECK(outcome.node("relu")->op_type == "Clip");
    CHECK(outcome.node("relu")->input(1)->tensor().to_doubles()[0] == middle);
  }
}

TEST_CASE("quantize_static: 16-bit activations") {
  const char* text = R"(opset 17 graph {
    input %x: float[1,1,4,4]
    init %w = float[1,1,1,1] {1}
    init %pads = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}
    %a = Conv(%x, %w) @first
    %p = Pad(%a, %pads) @pad
    %y = Conv(%p, %w) @second
    output %y })";
  Outcome outcome = quantize_text(text, {{"x", {-1, 2.2767f}}},
                                  {.activation_type = ir::DataType::kUint16});
  CHECK(outcome.model.opset() == 21);
  CHECK(outcome.model.graph->find("x_scale")->tensor().data<float>()[0] ==
        doctest::Approx(3.2767 / 65535));
  CHECK(outcome.model.graph->find("x_QuantizeLinear")->type.elem ==
        ir::DataType::kUint16);
  // Pad stays in float between Q and DQ: there is no Pad of 16-bit codes.
  CHECK(outcome.source("pad", 0) == "DequantizeLinear");
  CHECK(outcome.result.remarks ==
        std::vector<Remark>{
            {"",
             "the runtime has no integer kernels for 16-bit activations: "
             "quantized nodes compute in float between DequantizeLinear and "
             "QuantizeLinear and are slower than without"}});
}

TEST_CASE("quantize_static: other numbers of bits are an error") {
  CHECK_THROWS_WITH_AS(quantize_text(kThreeConvs, {}, {.weight_bits = 4}),
                       "quantize_static: weights of 4 bits, expected 7 or 8",
                       Error);
}

}  // namespace
}  // namespace lathe::quantize::test
