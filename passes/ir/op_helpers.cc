#include "passes/ir/op_helpers.h"

#include <algorithm>
#include <limits>

namespace lathe::ir {

int64_t checked_add(const InferContext& ctx, int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum))
    ctx.fail("a dimension of the output does not fit 64 bits");
  return sum;
}

int64_t checked_multiply(const InferContext& ctx, int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result))
    ctx.fail("a dimension of the output does not fit 64 bits");
  return result;
}

Dim product(const InferContext& ctx, const Shape& dims) {
  int64_t number = 1;
  std::optional<Dim> other;
  bool unknown = false;
  for (const Dim& dim : dims) {
    if (dim.known() && dim.value == 0) return Dim(0);
    if (!dim.known()) {
      unknown = unknown || other.has_value();
      other = dim;
    }
  }
  for (const Dim& dim : dims)
    if (dim.known()) number = checked_multiply(ctx, number, dim.value);
  if (!other) return Dim(number);
  return number == 1 && !unknown ? *other : Dim();
}

Dim scaled(const InferContext& ctx, const Dim& dim, int64_t factor) {
  if (factor < 0)
    ctx.fail("a dimension is repeated " + std::to_string(factor) + " times");
  return product(ctx, {dim, Dim(factor)});
}

Dim shifted(const InferContext& ctx, const Dim& dim, int64_t amount) {
  if (amount == 0) return dim;
  if (!dim.known()) return Dim();
  int64_t sum = checked_add(ctx, dim.value, amount);
  if (sum < 0)
    ctx.fail("a dimension of the output would be " + std::to_string(sum));
  return Dim(sum);
}

Dim divided(const InferContext& ctx, const Dim& dim, int64_t divisor) {
  if (divisor <= 0)
    ctx.fail("a dimension is divided by " + std::to_string(divisor));
  if (divisor == 1) return dim;
  if (!dim.known()) return Dim();
  if (dim.value % divisor != 0)
    ctx.fail("dimension " + std::to_string(dim.value) +
             " is not a multiple of " + std::to_string(divisor));
  return Dim(dim.value / divisor);
}

int64_t normalize_axis(const InferContext& ctx, int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    ctx.fail("axis " + std::to_string(axis) + " is out of range for rank " +
             std::to_string(rank));
  return axis < 0 ? axis + rank : axis;
}

Axes read_axes(const InferContext& ctx, size_t input) {
  Axes axes;
  if (ctx.node().has_attribute("axes")) {
    axes.given = true;
    axes.values = ctx.node().attr_ints("axes");
  } else if (ctx.has_input(input)) {
    axes.given = true;
    axes.values = ctx.ints(input);
  }
  return axes;
}

std::vector<int64_t> normalize_axes(const InferContext& ctx,
                                    const std::vector<int64_t>& axes,
                                    int64_t rank) {
  std::vector<int64_t> normalized;
  for (int64_t axis : axes) {
    int64_t found = normalize_axis(ctx, axis, rank);
    if (std::ranges::find(normalized, found) != normalized.end())
      ctx.fail("axis " + std::to_string(axis) + " is given twice");
    normalized.push_back(found);
  }
  return normalized;
}

Dim unify(const InferContext& ctx, const Dim& a, const Dim& b,
          const std::string& what) {
  if (a.known() && b.known() && a.value != b.value)
    ctx.fail(what + " differ: " + std::to_string(a.value) + " and " +
             std::to_string(b.value));
  if (a.known()) return a;
  if (b.known()) return b;
  return a.symbol.empty() ? b : a;
}

Dim broadcast_dim(const InferContext& ctx, const Dim& a, const Dim& b) {
  if (a.known() && a.value == 1) return b;
  if (b.known() && b.value == 1) return a;
  if (a.known() && b.known()) {
    if (a.value != b.value)
      ctx.fail("dimensions " + std::to_string(a.value) + " and " +
               std::to_string(b.value) + " do not broadcast");
    return a;
  }
  if (a.known()) return a;
  if (b.known()) return b;
  return a.same_as(b) ? a : Dim();
}

Shape broadcast(const InferContext& ctx, const Shape& a, const Shape& b) {
  const Shape& longer = a.size() >= b.size() ? a : b;
  const Shape& shorter = a.size() >= b.size() ? b : a;
  Shape result = longer;
  size_t skip = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i)
    result[skip + i] = broadcast_dim(ctx, longer[skip + i], shorter[i]);
  return result;
}

std::optional<Shape> broadcast_inputs(const InferContext& ctx,
                                      const std::vector<size_t>& inputs) {
  std::optional<Shape> result = Shape();
  for (size_t i : inputs) {
    if (!ctx.has_input(i)) continue;
    const Shape* shape = ctx.shape(i);
    if (!shape) return std::nullopt;
    result = broadcast(ctx, *result, *shape);
  }
  return result;
}

std::optional<Shape> shape_from_input(const InferContext& ctx, size_t input) {
  if (const FollowedValue* data = ctx.data(input)) {
    Shape shape;
    for (const Element& element : data->elements) {
      if (element.is_int() && element.integer < 0)
        ctx.fail("the shape has the negative dimension " +
                 std::to_string(element.integer));
      shape.push_back(element.dim());
    }
    return shape;
  }
  Dim rank = ctx.dim(input, 0);
  if (!rank.known()) return std::nullopt;
  if (rank.value > static_cast<int64_t>(kMaxRank))
    ctx.fail("the shape has " + std::to_string(rank.value) + " dimensions");
  return Shape(static_cast<size_t>(rank.value));
}

DataType elem_attribute(const InferContext& ctx, std::string_view name,
                        DataType fallback) {
  if (!ctx.node().has_attribute(name)) return fallback;
  int64_t number = ctx.node().attr_int(name, 0);
  auto type = data_type_from_number(number);
  if (!type)
    ctx.fail("attribute '" + std::string(name) + "' is " +
             std::to_string(number) + ", which is no element type");
  return *type;
}

int64_t required_int(const InferContext& ctx, std::string_view name) {
  if (!ctx.node().has_attribute(name))
    ctx.fail("attribute '" + std::string(name) + "' is missing");
  return ctx.node().attr_int(name, 0);
}

void infer_same(InferContext& ctx) {
  ctx.set(0, ctx.elem(0), ctx.shape_copy(0));
}

void infer_same_no_type(InferContext& ctx) {
  ctx.set(0, DataType::kUndefined, ctx.shape_copy(0));
}

void infer_bool_like(InferContext& ctx) {
  ctx.set(0, DataType::kBool, ctx.shape_copy(0));
}

int64_t count_of(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (int64_t dim : dims)
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count) ||
        count > kMaxFollowedElements)
      return -1;
  return count;
}

void for_each_index(const std::vector<int64_t>& dims,
                    const std::function<void(const std::vector<int64_t>&)>& f) {
  int64_t count = count_of(dims);
  std::vector<int64_t> index(dims.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    f(index);
    for (size_t axis = dims.size(); axis-- > 0;) {
      if (++index[axis] < dims[axis]) break;
      index[axis] = 0;
    }
  }
}

size_t offset_of(const std::vector<int64_t>& dims,
                 const std::vector<int64_t>& index) {
  int64_t offset = 0;
  for (size_t i = 0; i < dims.size(); ++i) offset = offset * dims[i] + index[i];
  return static_cast<size_t>(offset);
}

std::optional<FollowedValue> follow_broadcast(
    const std::vector<const FollowedValue*>& inputs,
    const std::function<Element(const std::vector<Element>&)>& f) {
  FollowedValue result;
  size_t rank = 0;
  for (const FollowedValue* input : inputs)
    rank = std::max(rank, input->dims.size());
  result.dims.assign(rank, 1);
  for (const FollowedValue* input : inputs) {
    size_t skip = rank - input->dims.size();
    for (size_t i = 0; i < input->dims.size(); ++i) {
      int64_t& dim = result.dims[skip + i];
      if (dim == 1)
        dim = input->dims[i];
      else if (input->dims[i] != 1 && input->dims[i] != dim)
        return std::nullopt;
    }
  }
  if (count_of(result.dims) < 0) return std::nullopt;
  for_each_index(result.dims, [&](const std::vector<int64_t>& index) {
    std::vector<Element> operands;
    for (const FollowedValue* input : inputs) {
      size_t skip = rank - input->dims.size();
      std::vector<int64_t> own(input->dims.size());
      for (size_t i = 0; i < own.size(); ++i)
        own[i] = input->dims[i] == 1 ? 0 : index[skip + i];
      operands.push_back(input->elements[offset_of(input->dims, own)]);
    }
    result.elements.push_back(f(operands));
  });
  return result;
}

int64_t times(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_mul_overflow(a, b, &result)
             ? std::numeric_limits<int64_t>::max()
             : result;
}

int64_t plus(int64_t a, int64_t b) {
  int64_t result;
  return __builtin_add_overflow(a, b, &result)
             ? std::numeric_limits<int64_t>::max()
             : result;
}

int64_t elements(const Value* value) {
  if (!value || !value->type.shape) return 0;
  int64_t count = 1;
  for (const Dim& dim : *value->type.shape)
    count = times(count, std::max<int64_t>(dim.value, 0));
  return count;
}

int64_t dim_value(const Value* value, int64_t axis) {
  if (!value || !value->type.shape) return 0;
  int64_t rank = static_cast<int64_t>(value->type.shape->size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return 0;
  return std::max<int64_t>((*value->type.shape)[axis].value, 0);
}

Cost mac_cost(int64_t macs, int64_t extra_flops) {
  Cost cost;
  cost.macs = macs;
  cost.flops = plus(times(2, macs), extra_flops);
  return cost;
}

}  // namespace lathe::ir
