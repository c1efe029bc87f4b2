// Operators that keep the elements and change the shape.
#include <algorithm>
#include <numeric>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// The same elements under new dimensions, when those are numbers.
void follow_reshaped(InferContext& ctx) {
  const Value* output = ctx.node().output(0);
  const FollowedValue* data = ctx.data(0);
  if (!data || !output || !output->type.has_static_shape()) return;
  std::vector<int64_t> dims = to_dims(*output->type.shape);
  if (count_of(dims) == static_cast<int64_t>(data->elements.size()))
    ctx.set_data(0, {std::move(dims), data->elements});
}

// The dimension of -1: what the input has beyond the other target dimensions.
// Equal symbols cancel.
Dim remaining(const InferContext& ctx, const Shape& input,
              const Shape& target) {
  Shape above = input, below = target;
  std::erase_if(below, [&](const Dim& dim) {
    if (dim.known() || dim.symbol.empty()) return false;
    auto it = std::ranges::find_if(
        above, [&](const Dim& other) { return other.same_as(dim); });
    if (it == above.end()) return false;
    above.erase(it);
    return true;
  });
  Dim part = product(ctx, below), whole = product(ctx, above);
  if (!part.known()) return Dim();
  if (part.value == 0) return whole.known() ? Dim(0) : Dim();
  if (whole.known() && whole.value % part.value != 0)
    ctx.fail("cannot reshape " + to_string(input) + ": " +
             std::to_string(whole.value) + " elements are not a multiple of " +
             std::to_string(part.value));
  if (whole.known()) return Dim(whole.value / part.value);
  // One dimension without a number, and equal numbers beside it.
  Shape numbers = above;
  std::erase_if(numbers, [](const Dim& dim) { return !dim.known(); });
  if (numbers.size() + 1 != above.size() ||
      product(ctx, numbers).value != part.value)
    return Dim();
  return *std::ranges::find_if(above,
                               [](const Dim& dim) { return !dim.known(); });
}

// 0 copies the input's dimension (unless allowzero), one -1 takes the rest.
void infer_reshape(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const FollowedValue* wanted = ctx.data(1);
  if (!wanted) {
    ctx.set(0, ctx.elem(0), shape_from_input(ctx, 1));
    return;
  }
  if (wanted->elements.size() > kMaxRank)
    ctx.fail("the shape has " + std::to_string(wanted->elements.size()) +
             " dimensions");
  const Shape* input = ctx.shape(0);
  bool allow_zero = ctx.node().attr_int("allowzero", 0) != 0;
  Shape out;
  std::optional<size_t> rest;
  bool all_told = true;
  for (size_t i = 0; i < wanted->elements.size(); ++i) {
    const Element& element = wanted->elements[i];
    Dim dim = element.dim();
    if (element.is_int() && element.integer == 0 && !allow_zero) {
      if (input && i >= input->size())
        ctx.fail("the shape copies dimension " + std::to_string(i) +
                 ", but the input has rank " + std::to_string(input->size()));
      dim = input ? (*input)[i] : Dim();
    } else if (element.is_int() && element.integer == -1) {
      if (rest) ctx.fail("the shape has more than one -1");
      rest = i;
    } else if (element.is_int() && element.integer < -1) {
      ctx.fail("the shape has the dimension " +
               std::to_string(element.integer));
    } else if (!element.is_int() && !element.is_symbol()) {
      all_told = false;
    }
    out.push_back(dim);
  }
  if (input && rest) {
    Shape others = out;
    others.erase(others.begin() + static_cast<ptrdiff_t>(*rest));
    if (all_told) out[*rest] = remaining(ctx, *input, others);
  } else if (input) {
    // One element of the target that is not followed may take the rest too.
    size_t unknown = 0, at = 0;
    for (size_t i = 0; i < out.size(); ++i)
      if (!out[i].known() && out[i].symbol.empty()) {
        ++unknown;
        at = i;
      }
    Dim had = product(ctx, *input);
    if (unknown == 1) {
      Shape others = out;
      others.erase(others.begin() + static_cast<ptrdiff_t>(at));
      out[at] = remaining(ctx, *input, others);
    } else if (unknown == 0 && is_static(out) && had.known() &&
               product(ctx, out).value != had.value) {
      ctx.fail("cannot reshape " + to_string(*input) + " to " + to_string(out));
    }
  }
  ctx.set(0, ctx.elem(0), out);
  follow_reshaped(ctx);
}

void infer_flatten(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  if (!input) {
    ctx.set(0, ctx.elem(0), Shape(2));
    return;
  }
  int64_t rank = static_cast<int64_t>(input->size());
  int64_t axis = ctx.node().attr_int("axis", 1);
  // The end of the shape is a place to cut, too.
  if (axis != rank) axis = normalize_axis(ctx, axis, rank);
  auto cut = input->begin() + axis;
  ctx.set(0, ctx.elem(0),
          Shape{product(ctx, Shape(input->begin(), cut)),
                product(ctx, Shape(cut, input->end()))});
  follow_reshaped(ctx);
}

void infer_squeeze(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  Axes axes = read_axes(ctx, 1);
  if (!input) return;
  int64_t rank = static_cast<int64_t>(input->size());
  if (axes.given && !axes.values) {
    Dim count = ctx.dim(1, 0);
    if (count.known() && count.value <= rank)
      ctx.set(0, ctx.elem(0), Shape(static_cast<size_t>(rank - count.value)));
    return;
  }
  if (!axes.given && !is_static(*input)) return;
  std::vector<int64_t> dropped;
  if (axes.given) dropped = normalize_axes(ctx, *axes.values, rank);
  Shape out;
  for (int64_t i = 0; i < rank; ++i) {
    const Dim& dim = (*input)[static_cast<size_t>(i)];
    bool named = std::ranges::find(dropped, i) != dropped.end();
    if (named && dim.known() && dim.value != 1)
      ctx.fail("cannot squeeze axis " + std::to_string(i) + " of " +
               to_string(*input));
    if (axes.given ? !named : dim.value != 1) out.push_back(dim);
  }
  ctx.set(0, ctx.elem(0), out);
  follow_reshaped(ctx);
}

void infer_unsqueeze(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  Axes axes = read_axes(ctx, 1);
  if (!axes.given) ctx.fail("axes are missing");
  if (!input) return;
  size_t count = 0;
  if (axes.values) {
    count = axes.values->size();
  } else {
    Dim length = ctx.dim(1, 0);
    if (!length.known() || length.value > static_cast<int64_t>(kMaxRank))
      return;
    count = static_cast<size_t>(length.value);
  }
  size_t rank = input->size() + count;
  if (rank > kMaxRank)
    ctx.fail("output would have " + std::to_string(rank) + " dimensions");
  if (!axes.values) {
    ctx.set(0, ctx.elem(0), Shape(rank));
    return;
  }
  auto added = normalize_axes(ctx, *axes.values, static_cast<int64_t>(rank));
  Shape out;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i)
    out.push_back(std::ranges::find(added, static_cast<int64_t>(i)) !=
                          added.end()
                      ? Dim(1)
                      : (*input)[next++]);
  ctx.set(0, ctx.elem(0), out);
  follow_reshaped(ctx);
}

void infer_transpose(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  auto perm = ctx.node().attr_ints("perm");
  if (!input) {
    if (!perm.empty() && perm.size() <= kMaxRank)
      ctx.set(0, ctx.elem(0), Shape(perm.size()));
    return;
  }
  int64_t rank = static_cast<int64_t>(input->size());
  if (!ctx.node().has_attribute("perm")) {
    perm.resize(input->size());
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  if (perm.size() != input->size())
    ctx.fail("attribute 'perm' has " + std::to_string(perm.size()) +
             " values, but the input has rank " + std::to_string(rank));
  perm = normalize_axes(ctx, perm, rank);
  Shape out;
  for (int64_t axis : perm) out.push_back((*input)[static_cast<size_t>(axis)]);
  ctx.set(0, ctx.elem(0), out);
  const FollowedValue* data = ctx.data(0);
  if (!data || data->dims.size() != perm.size()) return;
  FollowedValue moved;
  for (int64_t axis : perm)
    moved.dims.push_back(data->dims[static_cast<size_t>(axis)]);
  for_each_index(moved.dims, [&](const std::vector<int64_t>& index) {
    std::vector<int64_t> from(index.size());
    for (size_t i = 0; i < index.size(); ++i)
      from[static_cast<size_t>(perm[i])] = index[i];
    moved.elements.push_back(data->elements[offset_of(data->dims, from)]);
  });
  ctx.set_data(0, std::move(moved));
}

// Two-way broadcasting with a shape.
void infer_expand(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto target = shape_from_input(ctx, 1);
  const Shape* input = ctx.shape(0);
  if (!target || !input) return;
  Shape out = broadcast(ctx, *input, *target);
  ctx.set(0, ctx.elem(0), out);
  const FollowedValue* data = ctx.data(0);
  if (!data || !is_static(out)) return;
  FollowedValue frame;
  frame.dims = to_dims(out);
  int64_t count = count_of(frame.dims);
  if (count < 0) return;
  frame.elements.resize(static_cast<size_t>(count));
  auto spread = follow_broadcast(
      {data, &frame},
      [](const std::vector<Element>& operands) { return operands[0]; });
  if (spread) ctx.set_data(0, std::move(*spread));
}

void infer_tile(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  if (!input) return;
  const FollowedValue* repeats = ctx.data(1);
  Shape out(input->size());
  if (repeats) {
    if (repeats->elements.size() != input->size())
      ctx.fail("repeats has " + std::to_string(repeats->elements.size()) +
               " values, but the input has rank " +
               std::to_string(input->size()));
    for (size_t i = 0; i < out.size(); ++i) {
      const Element& factor = repeats->elements[i];
      if (factor.is_int())
        out[i] = scaled(ctx, (*input)[i], factor.integer);
      else if ((*input)[i].known() && (*input)[i].value == 1)
        out[i] = factor.dim();
    }
  }
  ctx.set(0, ctx.elem(0), out);
  const FollowedValue* data = ctx.data(0);
  if (!data || data->dims.size() != out.size() || !is_static(out)) return;
  FollowedValue tiled;
  tiled.dims = to_dims(out);
  if (count_of(tiled.dims) < 0) return;
  for_each_index(tiled.dims, [&](std::vector<int64_t> index) {
    for (size_t i = 0; i < index.size(); ++i) index[i] %= data->dims[i];
    tiled.elements.push_back(data->elements[offset_of(data->dims, index)]);
  });
  ctx.set_data(0, std::move(tiled));
}

constexpr Operator row(const char* name, int min_inputs, int max_inputs,
                       void (*infer)(InferContext&), const AxisRule& axes) {
  return {name,       "",         OpClass::kDataMovement,
          min_inputs, max_inputs, 1,
          1,          infer,      nullptr,
          true,       &axes};
}

constexpr Operator kRows[] = {
    row("Expand", 2, 2, infer_expand, kExpandAxes),
    row("Flatten", 1, 1, infer_flatten, kReshapeAxes),
    row("Reshape", 2, 2, infer_reshape, kReshapeAxes),
    row("Squeeze", 1, 2, infer_squeeze, kReshapeAxes),
    row("Tile", 2, 2, infer_tile, kTileAxes),
    row("Transpose", 1, 1, infer_transpose, kTransposeAxes),
    row("Unsqueeze", 1, 2, infer_unsqueeze, kReshapeAxes),
};

}  // namespace

std::span<const Operator> reshape_operators() { return kRows; }

}  // namespace lathe::ir
