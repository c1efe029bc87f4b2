// Convolutions.
#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_window.h"

namespace lathe::ir {
namespace {

void infer_conv_integer(InferContext& ctx) {
  infer_conv_as(ctx, 0, 1, DataType::kInt32, /*channels_last=*/false);
}

void infer_qlinear_conv(InferContext& ctx) {
  DataType elem =
      ctx.elem(7) != DataType::kUndefined ? ctx.elem(7) : ctx.elem(0);
  infer_conv_as(ctx, 0, 3, elem, /*channels_last=*/false);
}

Cost qlinear_conv_cost(const Node& node) {
  Cost cost = conv_cost_with_weight(node, 3);
  // Bias and requantization: add, scale, round.
  cost.flops = plus(cost.flops, times(elements(node.output(0)), 3));
  return cost;
}

constexpr Operator kRows[] = {
    {"Conv", "", OpClass::kCompute, 2, 3, 1, 1, infer_conv, conv_cost, true,
     &kConvAxes},
    {"ConvInteger", "", OpClass::kCompute, 2, 4, 1, 1, infer_conv_integer,
     [](const Node& node) { return conv_cost_with_weight(node, 1); }},
    {"ConvTranspose", "", OpClass::kCompute, 2, 3, 1, 1, infer_conv_transpose,
     conv_transpose_cost, true, &kConvTransposeAxes},
    {"DeformConv", "", OpClass::kCompute, 3, 5, 1, 1, infer_conv,
     [](const Node& node) { return conv_cost_with_weight(node, 1); }},
    {"QLinearConv", "", OpClass::kCompute, 8, 9, 1, 1, infer_qlinear_conv,
     qlinear_conv_cost},
};

}  // namespace

std::span<const Operator> conv_operators() { return kRows; }

}  // namespace lathe::ir
