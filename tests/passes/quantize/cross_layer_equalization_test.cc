// Channels of convolutional networks whose ranges differ wildly.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "calibration/ranges/min_max.h"
#include "passes/quantize/channel_factors.h"
#include "passes/quantize/channel_weights.h"
#include "passes/rewrite/rewrite.h"
#include "tests/passes/quantize/noise.h"
#include "tests/passes/quantize/scaling_support.h"

namespace lathe::quantize::test {
namespace {

// Conv, Relu, Conv, Relu, residual sum, pooling, Gemm.
ir::Model chain() {
  ir::Model model = ir::parse_text(R"(opset 17
graph main {
  input %x: float[1,3,12,12]
  input %w1: float[16,3,3,3]
  input %w1b: float[16]
  input %w2: float[16,16,3,3]
  input %w2b: float[16]
  input %w3: float[16,16,3,3]
  input %w4: float[10,16]
  %c1 = Conv(%x, %w1, %w1b) {pads = [1, 1, 1, 1]} @conv1
  %r1 = Relu(%c1) @relu1
  %c2 = Conv(%r1, %w2, %w2b) {pads = [1, 1, 1, 1]} @conv2
  %r2 = Relu(%c2) @relu2
  %c3 = Conv(%r2, %w3) {pads = [1, 1, 1, 1]} @conv3
  %s = Add(%c3, %r1) @sum
  %r3 = Relu(%s) @relu3
  %p = GlobalAveragePool(%r3) @pool
  %f = Flatten(%p) @flatten
  %y = Gemm(%f, %w4) {transB = 1} @gemm
  output %y
})");
  draw_weights(model);
  return model;
}

// Channel `channel` of what conv2 computes, and conv3 reads, times `factor`.
void spoil(ir::Model& model, int64_t channel, float factor) {
  const auto multiply = [&](const char* name, int64_t axis, float by) {
    ir::Value* value = model.graph->find(name);
    std::vector<float> numbers = value->tensor().to_floats();
    const std::vector<int64_t> dims = value->tensor().dims();
    int64_t inner = 1;
    for (size_t i = static_cast<size_t>(axis) + 1; i < dims.size(); ++i)
      inner *= dims[i];
    for (size_t i = 0; i < numbers.size(); ++i)
      if (static_cast<int64_t>(i) / inner % dims[axis] == channel)
        numbers[i] *= by;
    value->set_tensor(ir::Tensor::from<float>(dims, numbers));
  };
  multiply("w2", 0, factor);
  multiply("w2b", 0, factor);
  multiply("w3", 1, 1 / factor);
}

struct Quantized {
  PassResult equalization;
  double sqnr_db;
};

// Int8 outputs beside those of the float model `reference`.
Quantized quantize(const ir::Model& reference, ir::Model model, bool equalize,
                   bool with_data = true) {
  NoiseSource data(model, 4);
  const auto collector = ranges::make_min_max_collector(data, 0, 2);
  PassContext context;
  Quantized result{};
  if (with_data) context.ranges = collector.get();
  if (equalize)
    result.equalization =
        make_cross_layer_equalization({})->run(model, context);
  ir::verify(*model.graph, "test");
  context.ranges = collector.get();
  make_quantize_static({.observer = {.name = "min_max"}})->run(model, context);
  std::vector<NamedTensors> inputs;
  for (size_t i = 0; i < 4; ++i) inputs.push_back(data.inputs(i));
  result.sqnr_db = compare(reference, model, inputs).sqnr_db;
  return result;
}

TEST_CASE("cross_layer_equalization: an outlier channel costs nothing") {
  const ir::Model even = chain();
  ir::Model uneven = ir::clone(even);
  spoil(uneven, 5, 100);
  const double plain = quantize(even, ir::clone(even), false).sqnr_db;
  const double collapsed = quantize(even, ir::clone(uneven), false).sqnr_db;
  const Quantized saved = quantize(even, ir::clone(uneven), true);
  CHECK(collapsed < plain - 10);
  CHECK(saved.sqnr_db > plain - 1);
  CHECK(saved.equalization.changes == 1);
  REQUIRE(saved.equalization.remarks.size() == 2);
  CHECK(saved.equalization.remarks[0].node == "conv3");
  CHECK(saved.equalization.remarks[1] ==
        Remark{"",
               "1 set of channels stays as before: the int8 error is predicted "
               "to fall by less than 6 dB"});
  // Without data, by the weights, nearly as good.
  CHECK(quantize(even, ir::clone(uneven), true, false).sqnr_db > plain - 4);
}

TEST_CASE("cross_layer_equalization: even channels stay as they are") {
  const ir::Model even = chain();
  for (const bool with_data : {true, false})
    CHECK(
        quantize(even, ir::clone(even), true, with_data).equalization.changes ==
        0);
}

TEST_CASE("cross_layer_equalization: no group, no run over the data") {
  ir::Model model = ir::parse_text(R"(opset 17
graph main {
  input %x: float[1,3,6,6]
  input %w1: float[4,3,1,1]
  input %w2: float[2,4,1,1]
  %c = Conv(%x, %w1) @first
  %s = Sigmoid(%c) @gate
  %y = Conv(%s, %w2) @second
  output %y
})");
  draw_weights(model);
  UnevenRanges ranges(1);
  PassContext context;
  context.ranges = &ranges;
  const PassResult result =
      make_cross_layer_equalization({})->run(model, context);
  CHECK(ranges.runs == 0);
  CHECK(result.changes == 0);
  REQUIRE(result.remarks.size() == 1);
  CHECK(result.remarks[0] ==
        Remark{"second",
               "the channels of its input keep their scale: Sigmoid 'gate' "
               "computes it"});
}

TEST_CASE("cross_layer_equalization: looks at few samples") {
  for (const int64_t samples : {int64_t{0}, int64_t{7}}) {
    ir::Model model = chain();
    spoil(model, 5, 100);
    UnevenRanges ranges(1);
    PassContext context;
    context.ranges = &ranges;
    make_cross_layer_equalization({.samples = samples})->run(model, context);
    CHECK(ranges.runs == 1);
    CHECK(ranges.asked_samples == samples);
  }
  CHECK(ScalingOptions{}.samples == 4);
}

TEST_CASE("cross_layer_equalization: even weights, no run over the data") {
  ir::Model model = chain();
  UnevenRanges ranges(1);
  PassContext context;
  context.ranges = &ranges;
  CHECK(make_cross_layer_equalization({})->run(model, context).changes == 0);
  CHECK(ranges.runs == 0);
}

// One product with weights of `w` for its three channels.
ChannelGroup one_product(ir::Model& model, const std::string& w) {
  model = ir::parse_text(R"(opset 17
graph main {
  input %x: float[1,3]
  init %k = float[3,3] {1, 0, 0, 0, 1, 0, 0, 0, 1}
  init %w = float[3,1] {)" +
                         w + R"(}
  %a = MatMul(%x, %k)
  %y = MatMul(%a, %w)
  output %y
})");
  ir::infer_shapes(model);
  auto groups = find_channel_groups(*model.graph);
  REQUIRE(groups.size() == 1);
  return groups[0];
}

std::vector<double> factors_of(const std::string& w,
                               const std::vector<Range>& ranges,
                               const FactorOptions& options) {
  ir::Model model;
  const ChannelGroup group = one_product(model, w);
  return choose_factors(group, {{0, ranges}}, options).factors;
}

TEST_CASE("channel factors: the formula") {
  const std::vector<Range> ranges = {{-1, 0.5}, {0, 16}, {-4, 4}};
  const auto near = [](double expected) { return doctest::Approx(expected); };
  // sqrt(r / w), the largest range kept: 16 / (4 / 2) is the largest after.
  auto found =
      factors_of("1, 0.25, 4", ranges, {.alpha = 0.5, .power_of_two = false});
  const double kept = found[1];
  CHECK(found[0] / kept == near(1.0 / 8));
  CHECK(found[2] / kept == near(1.0 / 8));
  CHECK(std::max({1 / found[0], 16 / found[1], 4 / found[2]}) == near(16));
  found = factors_of("1, 0.25, 4", ranges, {.alpha = 1, .power_of_two = false});
  CHECK(found[0] == near(1.0 / 16));
  CHECK(found[1] == near(1));
  CHECK(found[2] == near(1.0 / 4));
  found = factors_of("1, 0.25, 4", ranges, {.alpha = 0, .power_of_two = false});
  CHECK(found[1] / found[0] == near(4));
  CHECK(found[2] / found[0] == near(1.0 / 4));
}

TEST_CASE("channel factors: powers of two, dead channels, hardly any range") {
  for (double s : factors_of("1, 0.3, 5", {{0, 1.7f}, {-20, 3}, {0, 5}}, {}))
    CHECK(std::exp2(std::round(std::log2(s))) == s);
  // Nothing arrives in a dead channel.
  CHECK(factors_of("1, 1, 1", {{0, 64}, {0, 0}, {0, 1}}, {})[1] == 1);
  CHECK(factors_of("1, 1, 1", {{0, 0}, {0, 0}, {0, 0}}, {}) ==
        std::vector<double>{1, 1, 1});
  CHECK(factors_of("0, 0, 0", {{0, 1}, {0, 2}, {0, 3}}, {}) ==
        std::vector<double>{1, 1, 1});
  // Nor can what other data may bring there be told: 1/1024 of the largest
  // counts at least.
  const auto found =
      factors_of("1, 1, 1", {{0, 1024}, {0, 1e-20f}, {0, 1}}, {.alpha = 1});
  CHECK(found == std::vector<double>{1, 1.0 / 1024, 1.0 / 1024});
}

TEST_CASE("channel factors: what a gain is") {
  ir::Model model;
  const ChannelGroup group = one_product(model, "1, 0.01, 1");
  const auto gain = [&](const std::vector<Range>& ranges) {
    return choose_factors(group, {{0, ranges}}, {}).gain_db;
  };
  CHECK(gain({{0, 1}, {0, 100}, {0, 1}}) > 30);
  CHECK(gain({{0, 1}, {0, 1}, {0, 1}}) < 6);
  // Of channels that keep their factors, none.
  ir::Model even;
  CHECK(choose_factors(one_product(even, "1, 1, 1"),
                       {{0, {{0, 1}, {0, 1}, {0, 1}}}}, {})
            .gain_db == 0);
}

TEST_CASE("cross_layer_equalization: a real network with outliers") {
  const std::string file = "models/cifar10_resnet20/model.onnx";
  if (lathe::test::shared_file(file).empty()) return;
  ir::Model even = io::import_onnx(lathe::test::shared_dir() / file);
  PassContext context;
  rewrite::make_simplify()->run(even, context);
  ir::Model uneven = ir::clone(even);
  int spoiled = 0;
  const auto groups = find_channel_groups(*uneven.graph);
  // Nine blocks and the first convolution with the sums it begins; the sums of
  // the other stages are tied to it by Pad.
  CHECK(groups.size() == 10);
  for (const ChannelGroup& group : groups) {
    CHECK(group.frozen.empty());
    if (++spoiled % 4 != 0) continue;
    std::vector<double> factors(group.channels, 1);
    factors[3] = 0.01;
    for (const ScaleSite& site : group.sites) scale_constant(site, factors);
  }
  const double plain = quantize(even, ir::clone(even), false).sqnr_db;
  CHECK(quantize(even, ir::clone(uneven), false).sqnr_db < plain - 10);
  CHECK(quantize(even, ir::clone(uneven), true).sqnr_db > plain - 1);
  CHECK(quantize(even, ir::clone(even), true).equalization.changes == 0);
}

}  // namespace
}  // namespace lathe::quantize::test
