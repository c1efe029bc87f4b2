// Reductions over axes (attribute or input), Arg*, cumulative sums, TopK.
#include <algorithm>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// Small integer reductions compute shapes in some exporters.
void follow_reduction(InferContext& ctx, bool keep) {
  auto values = ctx.ints(0);
  if (!values || values->empty()) return;
  const std::string& op = ctx.node().op_type;
  int64_t result = values->front();
  for (size_t i = 1; i < values->size(); ++i) {
    int64_t value = (*values)[i];
    if (op == "ReduceProd") {
      if (__builtin_mul_overflow(result, value, &result)) return;
    } else if (op == "ReduceSum") {
      if (__builtin_add_overflow(result, value, &result)) return;
    } else if (op == "ReduceMax") {
      result = std::max(result, value);
    } else if (op == "ReduceMin") {
      result = std::min(result, value);
    } else {
      return;
    }
  }
  size_t rank = ctx.data(0)->dims.size();
  ctx.set_data(
      0, {std::vector<int64_t>(keep ? rank : 0, 1), {Element::of(result)}});
}

void infer_reduce(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  if (!input) return;
  bool keep = ctx.node().attr_int("keepdims", 1) != 0;
  int64_t rank = static_cast<int64_t>(input->size());
  Axes axes = read_axes(ctx, 1);
  bool empty = !axes.given || (axes.values && axes.values->empty());
  if (empty && ctx.node().attr_int("noop_with_empty_axes", 0)) {
    ctx.set(0, ctx.elem(0), *input);
    return;
  }
  if (!empty && !axes.values) {
    // Which axes is not known; how many may be.
    if (keep) {
      ctx.set(0, ctx.elem(0), Shape(input->size()));
    } else if (Dim count = ctx.dim(1, 0);
               count.known() && count.value > 0 && count.value <= rank) {
      ctx.set(0, ctx.elem(0), Shape(static_cast<size_t>(rank - count.value)));
    }
    return;
  }
  std::vector<int64_t> reduced;
  if (empty)
    for (int64_t i = 0; i < rank; ++i) reduced.push_back(i);
  else
    reduced = normalize_axes(ctx, *axes.values, rank);
  Shape out;
  for (int64_t i = 0; i < rank; ++i) {
    if (std::ranges::find(reduced, i) == reduced.end())
      out.push_back((*input)[static_cast<size_t>(i)]);
    else if (keep)
      out.push_back(Dim(1));
  }
  ctx.set(0, ctx.elem(0), out);
  if (static_cast<int64_t>(reduced.size()) == rank) follow_reduction(ctx, keep);
}

void infer_arg(InferContext& ctx) {
  ctx.set(0, DataType::kInt64);
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", 0),
                                static_cast<int64_t>(shape->size()));
  if (ctx.node().attr_int("keepdims", 1))
    (*shape)[axis] = Dim(1);
  else
    shape->erase(shape->begin() + axis);
  ctx.set(0, DataType::kInt64, shape);
}

// K is an attribute before opset 10, an input since.
void infer_topk(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  ctx.set(1, DataType::kInt64);
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", -1),
                                static_cast<int64_t>(shape->size()));
  Dim& dim = (*shape)[axis];
  std::optional<int64_t> number;
  Dim k;
  if (ctx.has_input(1)) {
    number = ctx.scalar_int(1);
    if (const FollowedValue* data = ctx.data(1);
        data && data->elements.size() == 1)
      k = data->elements[0].dim();
  } else {
    number = required_int(ctx, "k");
    k = *number >= 0 ? Dim(*number) : Dim();
  }
  if (number && (*number < 0 || (dim.known() && *number > dim.value)))
    ctx.fail("k is " + std::to_string(*number) + ", but axis " +
             std::to_string(axis) + " has " +
             (dim.known() ? std::to_string(dim.value) : "unknown many") +
             " elements");
  dim = k;
  ctx.set(0, ctx.elem(0), shape);
  ctx.set(1, DataType::kInt64, shape);
}

constexpr Operator reduce(const char* name, Cost (*cost)(const Node&)) {
  return {name, "",   OpClass::kReduction, 1, 2, 1, 1, infer_reduce,
          cost, true, &kReduceAxes};
}

constexpr auto k1 = cost_per_input<1>;
constexpr auto k2 = cost_per_input<2>;

constexpr Operator kRows[] = {
    reduce("ReduceL1", k2),
    reduce("ReduceL2", k2),
    reduce("ReduceLogSum", k1),
    reduce("ReduceLogSumExp", cost_per_input<3>),
    reduce("ReduceMax", k1),
    reduce("ReduceMean", k1),
    reduce("ReduceMin", k1),
    reduce("ReduceProd", k1),
    reduce("ReduceSum", k1),
    reduce("ReduceSumSquare", k2),
    {"ArgMax", "", OpClass::kReduction, 1, 1, 1, 1, infer_arg, k1},
    {"ArgMin", "", OpClass::kReduction, 1, 1, 1, 1, infer_arg, k1},
    {"CumSum", "", OpClass::kReduction, 2, 2, 1, 1, infer_same, k1, true,
     &kScanAxes},
    {"CumProd", "", OpClass::kReduction, 2, 2, 1, 1, infer_same, k1, true,
     &kScanAxes},
    {"TopK", "", OpClass::kReduction, 1, 2, 2, 2, infer_topk, k1, true,
     &kScanAxes},
};

}  // namespace

std::span<const Operator> reduction_operators() { return kRows; }

}  // namespace lathe::ir
