// Losses, seen in training graphs.
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// Input [N, C, d...], target [N, d...]: the target's shape without reduction.
void infer_loss(InferContext& ctx) {
  bool reduced = ctx.node().attr_string("reduction", "mean") != "none";
  ctx.set(0, ctx.elem(0), reduced ? Shape() : ctx.shape_copy(1));
  ctx.set(1, ctx.elem(0), ctx.shape_copy(0));
}

constexpr Operator kRows[] = {
    {"NegativeLogLikelihoodLoss", "", OpClass::kReduction, 2, 3, 1, 1,
     infer_loss, cost_per_input<1>},
    {"SoftmaxCrossEntropyLoss", "", OpClass::kReduction, 2, 3, 1, 2, infer_loss,
     cost_per_input<6>},
};

}  // namespace

std::span<const Operator> loss_operators() { return kRows; }

}  // namespace lathe::ir
