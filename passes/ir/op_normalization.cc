// Normalizations and softmax. Flops an element: subtract, square, add for each
// statistic, then scale and shift.
#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// Y like X; every further output [C].
void infer_batch_norm(InferContext& ctx) {
  infer_same(ctx);
  Dim channels = ctx.dim(0, 1);
  for (size_t i = 1; i < 5 && i < ctx.input_count(); ++i) {
    if (ctx.rank(i) && *ctx.rank(i) != 1)
      ctx.fail("input " + std::to_string(i) + " has rank " +
               std::to_string(*ctx.rank(i)) + ", but needs rank 1");
    channels = unify(ctx, channels, ctx.dim(i, 0),
                     "channels of the input and of input " + std::to_string(i));
  }
  for (size_t i = 1; i < ctx.output_count(); ++i)
    ctx.set(i, i < 3 ? ctx.elem(3) : ctx.elem(0), Shape{channels});
}

// The statistics of axis.. as 1.
void infer_layer_norm(InferContext& ctx) {
  infer_same(ctx);
  auto stats = ctx.shape_copy(0);
  if (stats && !stats->empty()) {
    int64_t rank = static_cast<int64_t>(stats->size());
    int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", -1), rank);
    for (int64_t i = axis; i < rank; ++i) (*stats)[i] = Dim(1);
  }
  DataType elem = elem_attribute(ctx, "stash_type", DataType::kFloat);
  for (size_t i = 1; i < ctx.output_count(); ++i) ctx.set(i, elem, stats);
}

// From opset 13 along the axis; before, over the flattened axes from it on.
// The shape stays either way.
void infer_softmax(InferContext& ctx) {
  infer_same(ctx);
  if (auto rank = ctx.rank(0)) {
    int64_t axis = ctx.node().attr_int("axis", ctx.opset() >= 13 ? -1 : 1);
    // The old form may start behind the last axis.
    if (ctx.opset() < 13 && axis == *rank) return;
    if (*rank > 0) normalize_axis(ctx, axis, *rank);
  }
}

constexpr Operator row(const char* name, int min_inputs, int max_inputs,
                       int max_outputs, void (*infer)(InferContext&),
                       Cost (*cost)(const Node&), const AxisRule& axes) {
  return {name,        "",         OpClass::kNormalization,
          min_inputs,  max_inputs, 1,
          max_outputs, infer,      cost,
          true,        &axes};
}

constexpr Operator kRows[] = {
    row("BatchNormalization", 5, 5, 5, infer_batch_norm, cost_per_output<2>,
        kBatchNormAxes),
    row("GroupNormalization", 3, 3, 1, infer_same, cost_per_output<7>,
        kGroupNormAxes),
    row("InstanceNormalization", 3, 3, 1, infer_same, cost_per_output<7>,
        kInstanceNormAxes),
    row("LayerNormalization", 2, 3, 3, infer_layer_norm, cost_per_output<7>,
        kLayerNormAxes),
    row("LpNormalization", 1, 1, 1, infer_same, cost_per_output<3>,
        kLpNormAxes),
    row(
        "LRN", 1, 1, 1, infer_same,
        [](const Node& node) {
          // A window of squares across channels, then power and division.
          Cost cost;
          int64_t size = node.attr_int("size", 1);
          cost.flops = times(elements(node.output(0)),
                             plus(times(2, size > 0 ? size : 1), 4));
          return cost;
        },
        kChannelWindowAxes),
    row("MeanVarianceNormalization", 1, 1, 1, infer_same, cost_per_output<6>,
        kMeanVarianceAxes),
    row("RMSNormalization", 2, 2, 1, infer_same, cost_per_output<4>,
        kLayerNormAxes),
    // Written by ONNX Runtime's optimizer under ai.onnx.
    row("SimplifiedLayerNormalization", 2, 2, 2, infer_layer_norm,
        cost_per_output<4>, kLayerNormAxes),
    row("Softmax", 1, 1, 1, infer_softmax, cost_per_output<5>, kSoftmaxAxes),
    row("LogSoftmax", 1, 1, 1, infer_softmax, cost_per_output<5>, kSoftmaxAxes),
    row("Hardmax", 1, 1, 1, infer_softmax, cost_per_output<1>, kSoftmaxAxes),
};

}  // namespace

std::span<const Operator> normalization_operators() { return kRows; }

}  // namespace lathe::ir
