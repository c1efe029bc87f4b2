// Constants and values computed from shapes alone.
#include <algorithm>
#include <cmath>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

template <class T>
std::optional<Tensor> list_tensor(const Node& node, const char* name) {
  const Attribute* attribute = node.attribute(name);
  const std::vector<T>* list =
      attribute ? attribute->get_if<std::vector<T>>() : nullptr;
  if (!list) return std::nullopt;
  return Tensor::from<T>({static_cast<int64_t>(list->size())}, *list);
}

void set_constant(InferContext& ctx, const Tensor& tensor) {
  ctx.set(0, tensor.type(), to_shape(tensor.dims()));
  if (tensor.size() > kMaxFollowedElements) return;
  FollowedValue value;
  value.dims = tensor.dims();
  if (is_integer(tensor.type()) || tensor.type() == DataType::kBool) {
    for (int64_t element : tensor.to_int64s())
      value.elements.push_back(Element::of(element));
  } else if (tensor.type() == DataType::kFloat ||
             tensor.type() == DataType::kDouble ||
             tensor.type() == DataType::kFloat16 ||
             tensor.type() == DataType::kBfloat16) {
    for (double element : tensor.to_doubles())
      value.elements.push_back(Element::of_real(element));
  } else {
    return;
  }
  ctx.set_data(0, std::move(value));
}

void infer_constant(InferContext& ctx) {
  const Node& node = ctx.node();
  if (const Tensor* tensor = node.attr_tensor("value")) {
    set_constant(ctx, *tensor);
  } else if (node.has_attribute("value_float")) {
    set_constant(ctx, Tensor::scalar<float>(node.attr_float("value_float", 0)));
  } else if (node.has_attribute("value_int")) {
    set_constant(ctx, Tensor::scalar<int64_t>(node.attr_int("value_int", 0)));
  } else if (auto floats = list_tensor<float>(node, "value_floats")) {
    set_constant(ctx, *floats);
  } else if (auto ints = list_tensor<int64_t>(node, "value_ints")) {
    set_constant(ctx, *ints);
  } else if (node.has_attribute("value_string")) {
    ctx.set(0, DataType::kString, Shape());
  } else if (const Attribute* strings = node.attribute("value_strings")) {
    if (auto* list = strings->get_if<std::vector<std::string>>())
      ctx.set(0, DataType::kString,
              Shape{Dim(static_cast<int64_t>(list->size()))});
  }
}

void infer_constant_of_shape(InferContext& ctx) {
  const Tensor* fill = ctx.node().attr_tensor("value");
  if (fill && fill->size() != 1)
    ctx.fail("attribute 'value' has " + std::to_string(fill->size()) +
             " elements, but needs one");
  DataType elem = fill ? fill->type() : DataType::kFloat;
  auto shape = shape_from_input(ctx, 0);
  ctx.set(0, elem, shape);
  if (!shape || !is_static(*shape)) return;
  FollowedValue value;
  value.dims = to_dims(*shape);
  int64_t count = count_of(value.dims);
  if (count < 0) return;
  Element element = Element::of_real(0);
  if (is_integer(elem) || elem == DataType::kBool)
    element = Element::of(fill->to_int64s()[0]);
  else if (fill && bits_per_element(elem) >= 16 && is_floating(elem))
    element = Element::of_real(fill->to_doubles()[0]);
  else if (fill)
    return;
  value.elements.assign(static_cast<size_t>(count), element);
  ctx.set_data(0, std::move(value));
}

// Opset 15 added start and end.
void infer_shape(InferContext& ctx) {
  ctx.set(0, DataType::kInt64);
  const Shape* input = ctx.shape(0);
  if (!input) {
    ctx.set(0, DataType::kInt64, Shape(1));
    return;
  }
  int64_t rank = static_cast<int64_t>(input->size());
  auto clamp = [&](int64_t position) {
    return std::clamp<int64_t>(position < 0 ? position + rank : position, 0,
                               rank);
  };
  int64_t start = clamp(ctx.node().attr_int("start", 0));
  int64_t end = clamp(ctx.node().attr_int("end", rank));
  FollowedValue value;
  for (int64_t i = start; i < end; ++i)
    value.elements.push_back(Element::of((*input)[static_cast<size_t>(i)]));
  value.dims = {static_cast<int64_t>(value.elements.size())};
  ctx.set(0, DataType::kInt64, to_shape(value.dims));
  ctx.set_data(0, std::move(value));
}

void infer_size(InferContext& ctx) {
  ctx.set(0, DataType::kInt64, Shape());
  if (const Shape* input = ctx.shape(0))
    ctx.set_data(0, FollowedValue::scalar(Element::of(product(ctx, *input))));
}

// max(ceil((limit - start) / delta), 0) elements.
void infer_range(InferContext& ctx) {
  ctx.set(0, ctx.elem(0), Shape(1));
  auto start = ctx.reals(0), limit = ctx.reals(1), delta = ctx.reals(2);
  auto single = [](const auto& list) { return list && list->size() == 1; };
  if (single(start) && single(delta) && !single(limit) && (*start)[0] == 0 &&
      (*delta)[0] == 1) {
    const FollowedValue* data = ctx.data(1);
    if (data && data->elements.size() == 1)
      ctx.set(0, ctx.elem(0), Shape{data->elements[0].dim()});
    return;
  }
  if (!single(start) || !single(limit) || !single(delta)) return;
  double first = (*start)[0], step = (*delta)[0];
  if (step == 0) ctx.fail("delta is 0");
  double count = std::max(std::ceil(((*limit)[0] - first) / step), 0.0);
  if (!(count < 0x1p53)) ctx.fail("the range has too many elements");
  int64_t length = static_cast<int64_t>(count);
  ctx.set(0, ctx.elem(0), Shape{Dim(length)});
  auto first_int = ctx.scalar_int(0), step_int = ctx.scalar_int(2);
  if (length > kMaxFollowedElements) return;
  FollowedValue value;
  value.dims = {length};
  for (int64_t i = 0; i < length; ++i) {
    if (first_int && step_int)
      value.elements.push_back(Element::of(
          checked_add(ctx, *first_int, checked_multiply(ctx, i, *step_int))));
    else
      value.elements.push_back(
          Element::of_real(first + static_cast<double>(i) * step));
  }
  ctx.set_data(0, std::move(value));
}

void infer_eye_like(InferContext& ctx) {
  ctx.set(0, elem_attribute(ctx, "dtype", ctx.elem(0)), ctx.shape_copy(0));
}

// indices, depth, values: a new axis of `depth`.
void infer_one_hot(InferContext& ctx) {
  ctx.set(0, ctx.elem(2));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  int64_t axis = normalize_axis(ctx, ctx.node().attr_int("axis", -1),
                                static_cast<int64_t>(shape->size()) + 1);
  Dim depth;
  if (auto number = ctx.reals(1); number && number->size() == 1) {
    if (!((*number)[0] >= 0 && (*number)[0] < 0x1p53))
      ctx.fail("depth is negative or too large");
    depth = Dim(static_cast<int64_t>((*number)[0]));
  }
  shape->insert(shape->begin() + axis, depth);
  ctx.set(0, ctx.elem(2), shape);
}

// [rank, how many]; of a followed value, the positions themselves.
void infer_non_zero(InferContext& ctx) {
  ctx.set(0, DataType::kInt64);
  auto rank = ctx.rank(0);
  if (!rank) return;
  ctx.set(0, DataType::kInt64, Shape{Dim(*rank), Dim()});
  auto values = ctx.reals(0);
  if (!values || *rank == 0) return;
  const std::vector<int64_t>& dims = ctx.data(0)->dims;
  std::vector<std::vector<int64_t>> found;
  for_each_index(dims, [&](const std::vector<int64_t>& index) {
    if ((*values)[offset_of(dims, index)] != 0) found.push_back(index);
  });
  FollowedValue positions;
  positions.dims = {*rank, static_cast<int64_t>(found.size())};
  for (size_t axis = 0; axis < dims.size(); ++axis)
    for (const auto& index : found)
      positions.elements.push_back(Element::of(index[axis]));
  ctx.set(0, DataType::kInt64, to_shape(positions.dims));
  ctx.set_data(0, std::move(positions));
}

constexpr Operator row(const char* name, int inputs,
                       void (*infer)(InferContext&),
                       const AxisRule* axes = nullptr) {
  return {name, "",    OpClass::kShape, inputs, inputs, 1,
          1,    infer, nullptr,         true,   axes};
}

constexpr Operator kRows[] = {
    row("Constant", 0, infer_constant),
    row("ConstantOfShape", 1, infer_constant_of_shape, &kFillAxes),
    row("EyeLike", 1, infer_eye_like),
    row("NonZero", 1, infer_non_zero),
    row("OneHot", 3, infer_one_hot),
    row("Range", 3, infer_range),
    row("Shape", 1, infer_shape),
    row("Size", 1, infer_size),
};

}  // namespace

std::span<const Operator> constant_operators() { return kRows; }

}  // namespace lathe::ir
