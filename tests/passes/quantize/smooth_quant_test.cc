// Outlier channels of transformers.
#include <doctest/doctest.h>

#include <string>

#include "calibration/ranges/min_max.h"
#include "tests/passes/quantize/noise.h"
#include "tests/passes/quantize/scaling_support.h"

namespace lathe::quantize::test {
namespace {

// LayerNormalization, three projections, attention and a residual sum; then a
// second normalization, written as its steps, and a feed-forward part. Tokens
// [1, 8, 16], two heads.
ir::Model block() {
  ir::Model model = ir::parse_text(R"(opset 17
graph main {
  input %x: float[1,8,16]
  input %wg: float[16]
  input %wb: float[16]
  input %wq: float[16,16]
  input %wk: float[16,16]
  input %wv: float[16,16]
  input %wvb: float[16]
  input %wo: float[16,16]
  input %wg2: float[16]
  input %w1: float[16,32]
  input %w1b: float[32]
  input %w2: float[32,16]
  init %heads = int64[4] {1, 8, 2, 8}
  init %merged = int64[3] {1, 8, 16}
  init %root = float[] {2.83}
  init %two = float[] {2}
  init %epsilon = float[] {1e-6}
  init %gelu_root = float[] {1.4142135}
  init %one = float[] {1}
  init %half = float[] {0.5}
  init %last = int64[1] {-1}
  %n = LayerNormalization(%x, %wg, %wb) {axis = -1} @norm
  %q = MatMul(%n, %wq) @query
  %k = MatMul(%n, %wk) @key
  %v0 = MatMul(%n, %wv) @value
  %v = Add(%v0, %wvb) @value_bias
  %q4 = Reshape(%q, %heads)
  %k4 = Reshape(%k, %heads)
  %v4 = Reshape(%v, %heads)
  %qt = Transpose(%q4) {perm = [0, 2, 1, 3]}
  %kt = Transpose(%k4) {perm = [0, 2, 3, 1]}
  %vt = Transpose(%v4) {perm = [0, 2, 1, 3]}
  %scores = MatMul(%qt, %kt) @scores
  %scaled = Div(%scores, %root)
  %weights = Softmax(%scaled) {axis = -1}
  %mixed = MatMul(%weights, %vt) @mix
  %back = Transpose(%mixed) {perm = [0, 2, 1, 3]}
  %flat = Reshape(%back, %merged)
  %o = MatMul(%flat, %wo) @out
  %h = Add(%o, %x) @sum
  %power = Pow(%h, %two)
  %mean = ReduceMean(%power) {axes = [-1]}
  %shifted = Add(%mean, %epsilon)
  %size = Sqrt(%shifted)
  %unit = Div(%h, %size) @unit
  %m = Mul(%unit, %wg2) @scale
  %f0 = MatMul(%m, %w1) @up
  %f1 = Add(%f0, %w1b) @up_bias
  %e0 = Div(%f1, %gelu_root)
  %e1 = Erf(%e0)
  %e2 = Add(%e1, %one)
  %e3 = Mul(%f1, %e2)
  %g = Mul(%e3, %half) @gelu
  %d = MatMul(%g, %w2) @down
  %y = Add(%d, %h) @sum2
  output %y
})");
  draw_weights(model);
  return model;
}

// Multiplies elements [first, first + count) of a constant.
void multiply(ir::Model& model, const std::string& name, int64_t first,
              int64_t count, float factor) {
  ir::Value* value = model.graph->find(name);
  std::vector<float> numbers = value->tensor().to_floats();
  for (int64_t i = first; i < first + count; ++i) numbers[i] *= factor;
  value->set_tensor(ir::Tensor::from<float>(value->tensor().dims(), numbers));
}

// Channel 3 of both normalizations reaches 100 times as far, and what reads it
// takes that back.
void spoil(ir::Model& model) {
  for (const char* name : {"wg", "wb", "wg2"}) multiply(model, name, 3, 1, 100);
  for (const char* name : {"wq", "wk", "wv"})
    multiply(model, name, 3 * 16, 16, 0.01f);
  multiply(model, "w1", 3 * 32, 32, 0.01f);
}

struct Smoothed {
  PassResult result;
  double sqnr_db;
  ir::Model model;
};

Smoothed quantize(const ir::Model& reference, ir::Model model, bool smooth,
                  SmoothOptions options = {}) {
  NoiseSource data(model, 8);
  const auto collector = ranges::make_min_max_collector(data, 0, 2);
  PassContext context;
  context.ranges = collector.get();
  Smoothed smoothed{};
  if (smooth) smoothed.result = make_smooth_quant(options)->run(model, context);
  ir::verify(*model.graph, "test");
  make_quantize_static({.observer = {.name = "min_max"}})->run(model, context);
  std::vector<NamedTensors> inputs;
  for (size_t i = 0; i < 8; ++i) inputs.push_back(data.inputs(i));
  smoothed.sqnr_db = compare(reference, model, inputs).sqnr_db;
  smoothed.model = std::move(model);
  return smoothed;
}

bool has_mul(const Smoothed& smoothed) {
  return smoothed.model.graph->find("g_smoothed") != nullptr;
}

TEST_CASE("smooth_quant: an outlier channel of a normalization costs nothing") {
  const ir::Model even = block();
  ir::Model uneven = ir::clone(even);
  spoil(uneven);
  const double plain = quantize(even, ir::clone(even), false).sqnr_db;
  const double collapsed = quantize(even, ir::clone(uneven), false).sqnr_db;
  const Smoothed saved = quantize(even, ir::clone(uneven), true);
  CHECK(collapsed < plain - 10);
  CHECK(saved.sqnr_db > plain - 1);
  CHECK(saved.result.changes == 2);
  CHECK(!has_mul(saved));
  CHECK(quantize(even, ir::clone(even), true).result.changes == 0);
}

TEST_CASE("smooth_quant: a Mul where nothing takes the factors in") {
  ir::Model model = block();
  // Channel 7 after Gelu: always about 100.
  ir::Value* bias = model.graph->find("w1b");
  std::vector<float> numbers = bias->tensor().to_floats();
  numbers[7] = 100;
  bias->set_tensor(ir::Tensor::from<float>({32}, numbers));
  multiply(model, "w2", 7 * 16, 16, 0.01f);
  const double plain = quantize(model, ir::clone(model), false).sqnr_db;
  const Smoothed with = quantize(model, ir::clone(model), true);
  CHECK(has_mul(with));
  CHECK(with.result.changes == 1);
  CHECK(with.sqnr_db > plain + 6);
  const Smoothed without =
      quantize(model, ir::clone(model), true, {.insert_mul = false});
  CHECK(!has_mul(without));
  CHECK(without.result.changes == 0);
}

TEST_CASE("smooth_quant: what is left alone is said") {
  ir::Model model = block();
  UnevenRanges ranges(1);
  PassContext context;
  context.ranges = &ranges;
  const auto remarks_with = [&](bool insert_mul) {
    ir::Model copy = ir::clone(model);
    return make_smooth_quant({.scaling = {.min_gain_db = 1000, .samples = 5},
                              .insert_mul = insert_mul,
                              .min_mul_gain_db = 1000})
        ->run(copy, context)
        .remarks;
  };
  const Remark kept{"",
                    "2 sets of channels stay as before: the int8 error is "
                    "predicted to fall by less than 1e+03 dB"};
  CHECK(remarks_with(false) == std::vector<Remark>{kept});
  CHECK(ranges.asked_samples == 5);
  CHECK(remarks_with(true) ==
        std::vector<Remark>{
            kept,
            {"",
             "2 sets of channels for which a Mul would have to be inserted "
             "stay as before: the int8 error is predicted to fall by less "
             "than 1e+03 dB"}});
}

TEST_CASE("smooth_quant: inserted factors change nothing but the range") {
  const ir::Model before = block();
  const auto shapes = ir::default_input_shapes(before);
  const auto expected = run_model(before, shapes, 1);
  for (const double alpha : {0.0, 0.5, 1.0}) {
    ir::Model after = ir::clone(before);
    UnevenRanges ranges(3);
    PassContext context;
    context.ranges = &ranges;
    const PassResult result =
        make_smooth_quant(
            {.scaling = scale_all(), .alpha = alpha, .min_mul_gain_db = -1000})
            ->run(after, context);
    ir::verify(*after.graph, "test");
    // After attention and Gelu with a Mul.
    CHECK(result.changes == 4);
    const auto found = run_model(after, shapes, 1);
    // The runtime may fuse Gelu otherwise where a Mul follows it.
    CHECK(sqnr_db(expected[0], found[0]) > 100);
  }
}

TEST_CASE("smooth_quant: one Mul for all products that read a value") {
  ir::Model model = ir::parse_text(R"(opset 20
graph main {
  input %x: float[4,8]
  input %w0: float[8,8]
  input %w1: float[8,5]
  input %w2: float[8,6]
  %a = MatMul(%x, %w0)
  %g = Gelu(%a)
  %s = Softmax(%g)
  %y = MatMul(%g, %w1)
  %z = Gemm(%g, %w2)
  output %s
  output %y
  output %z
})");
  draw_weights(model);
  const auto shapes = ir::default_input_shapes(model);
  const auto expected = run_model(model, shapes, 1);
  UnevenRanges ranges(3);
  PassContext context;
  context.ranges = &ranges;
  const PassResult result =
      make_smooth_quant({.scaling = scale_all(), .min_mul_gain_db = -1000})
          ->run(model, context);
  ir::verify(*model.graph, "test");
  CHECK(result.changes == 1);
  int multiplications = 0;
  for (const auto& node : model.graph->nodes())
    multiplications += node->is("Mul");
  CHECK(multiplications == 1);
  const auto found = run_model(model, shapes, 1);
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(found[i].identical(expected[i]));
}

TEST_CASE("smooth_quant: needs samples") {
  ir::Model model = block();
  PassContext context;
  CHECK_THROWS_WITH_AS(
      make_smooth_quant({})->run(model, context),
      "smooth_quant: needs samples to see the ranges of channels (give --data, "
      "or in a recipe the key 'data')",
      Error);
}

}  // namespace
}  // namespace lathe::quantize::test
