#include "passes/ir/op_recurrent.h"

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"

namespace lathe::ir {
namespace {

void infer_without_cell(InferContext& ctx) {
  infer_recurrent(ctx, /*has_cell=*/false);
}

int64_t directions_of(const Node& node) {
  return node.attr_string("direction", "forward") == "bidirectional" ? 2 : 1;
}

constexpr Operator kRows[] = {
    {"LSTM", "", OpClass::kRecurrent, 3, 8, 0, 3, infer_lstm,
     [](const Node& node) { return recurrent_cost(node, 4); }, true,
     &kRecurrentAxes},
    {"GRU", "", OpClass::kRecurrent, 3, 6, 0, 2, infer_without_cell,
     [](const Node& node) { return recurrent_cost(node, 3); }, true,
     &kRecurrentAxes},
    {"RNN", "", OpClass::kRecurrent, 3, 6, 0, 2, infer_without_cell,
     [](const Node& node) { return recurrent_cost(node, 1); }, true,
     &kRecurrentAxes},
};

}  // namespace

void infer_recurrent(InferContext& ctx, bool has_cell) {
  for (size_t i = 0; i < 3; ++i)
    if (ctx.rank(i) && *ctx.rank(i) != 3)
      ctx.fail("input " + std::to_string(i) + " has rank " +
               std::to_string(*ctx.rank(i)) + ", but needs rank 3");
  int64_t directions = directions_of(ctx.node());
  Dim hidden = ctx.dim(2, 2);
  if (ctx.node().has_attribute("hidden_size")) {
    int64_t size = ctx.node().attr_int("hidden_size", 0);
    if (size <= 0)
      ctx.fail("attribute 'hidden_size' is " + std::to_string(size));
    hidden = unify(ctx, hidden, Dim(size),
                   "hidden sizes of the recurrence weight and the attribute");
  }
  unify(ctx, ctx.dim(1, 0), Dim(directions),
        "directions of the weight and the attribute");
  unify(ctx, ctx.dim(0, 2), ctx.dim(1, 2), "input sizes of X and W");
  bool batch_first = ctx.node().attr_int("layout", 0) != 0;
  Dim sequence = ctx.dim(0, batch_first ? 1 : 0);
  Dim batch = ctx.dim(0, batch_first ? 0 : 1);
  DataType elem = ctx.elem(0);
  if (batch_first) {
    ctx.set(0, elem, Shape{batch, sequence, Dim(directions), hidden});
    ctx.set(1, elem, Shape{batch, Dim(directions), hidden});
    if (has_cell) ctx.set(2, elem, Shape{batch, Dim(directions), hidden});
  } else {
    ctx.set(0, elem, Shape{sequence, Dim(directions), batch, hidden});
    ctx.set(1, elem, Shape{Dim(directions), batch, hidden});
    if (has_cell) ctx.set(2, elem, Shape{Dim(directions), batch, hidden});
  }
}

void infer_lstm(InferContext& ctx) { infer_recurrent(ctx, /*has_cell=*/true); }

Cost recurrent_cost(const Node& node, int64_t gates) {
  int64_t hidden = node.attr_int("hidden_size", dim_value(node.input(2), 2));
  if (hidden <= 0) return {};
  int64_t steps =
      times(times(dim_value(node.input(0), 0), dim_value(node.input(0), 1)),
            directions_of(node));
  int64_t width = plus(dim_value(node.input(0), 2), hidden);
  int64_t units = times(times(steps, gates), hidden);
  // Beside the products: bias and activation of every gate, some six each.
  return mac_cost(times(units, width), times(units, 6));
}

std::span<const Operator> recurrent_operators() { return kRows; }

}  // namespace lathe::ir
