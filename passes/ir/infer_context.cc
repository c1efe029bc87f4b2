#include "passes/ir/infer_context.h"

#include <cmath>

#include "passes/base/error.h"

namespace lathe::ir {

Element Element::of(int64_t value) {
  Element element;
  element.kind = Kind::kInt;
  element.integer = value;
  return element;
}

Element Element::of_real(double value) {
  Element element;
  element.kind = Kind::kReal;
  element.real = value;
  return element;
}

Element Element::of(const Dim& dim) {
  if (dim.known()) return of(dim.value);
  Element element;
  if (!dim.symbol.empty()) {
    element.kind = Kind::kSymbol;
    element.symbol = dim.symbol;
  }
  return element;
}

Dim Element::dim() const {
  if (is_int() && integer >= 0) return Dim(integer);
  if (is_symbol()) return Dim::named(symbol);
  return Dim();
}

int64_t InferContext::opset() const { return session_.opset(); }

DataType InferContext::elem(size_t i) const {
  const Value* value = node_.input(i);
  return value ? value->type.elem : DataType::kUndefined;
}

const Shape* InferContext::shape(size_t i) const {
  const Value* value = node_.input(i);
  return value && value->type.shape ? &*value->type.shape : nullptr;
}

std::optional<Shape> InferContext::shape_copy(size_t i) const {
  const Shape* found = shape(i);
  return found ? std::optional<Shape>(*found) : std::nullopt;
}

std::optional<int64_t> InferContext::rank(size_t i) const {
  const Shape* found = shape(i);
  if (!found) return std::nullopt;
  return static_cast<int64_t>(found->size());
}

Dim InferContext::dim(size_t i, size_t axis) const {
  const Shape* found = shape(i);
  return found && axis < found->size() ? (*found)[axis] : Dim();
}

const FollowedValue* InferContext::data(size_t i) const {
  const Value* value = node_.input(i);
  const FollowedValue* found = value ? session_.data(value) : nullptr;
  // A file may declare another shape than its tensor has: then nothing is sure.
  if (found && value->type.has_static_shape() &&
      to_dims(*value->type.shape) != found->dims)
    return nullptr;
  return found;
}

std::optional<FollowedValue> InferContext::data_or_unknown(size_t i) const {
  if (const FollowedValue* found = data(i)) return *found;
  const Value* value = node_.input(i);
  if (!value) return std::nullopt;
  auto count = value->type.element_count();
  if (!count || *count > kMaxFollowedElements) return std::nullopt;
  FollowedValue unknown;
  unknown.dims = to_dims(*value->type.shape);
  unknown.elements.resize(static_cast<size_t>(*count));
  return unknown;
}

std::optional<std::vector<int64_t>> InferContext::ints(size_t i) const {
  const FollowedValue* found = data(i);
  if (!found) return std::nullopt;
  std::vector<int64_t> values;
  for (const Element& element : found->elements) {
    if (!element.is_int()) return std::nullopt;
    values.push_back(element.integer);
  }
  return values;
}

std::optional<std::vector<double>> InferContext::reals(size_t i) const {
  const FollowedValue* found = data(i);
  if (!found) return std::nullopt;
  std::vector<double> values;
  for (const Element& element : found->elements) {
    if (!element.is_number()) return std::nullopt;
    values.push_back(element.number());
  }
  return values;
}

std::optional<int64_t> InferContext::scalar_int(size_t i) const {
  const FollowedValue* found = data(i);
  if (!found || found->elements.size() != 1 || !found->elements[0].is_int())
    return std::nullopt;
  return found->elements[0].integer;
}

void InferContext::set(size_t i, DataType elem, std::optional<Shape> shape) {
  Value* value = node_.output(i);
  if (!value) return;
  if (shape && shape->size() > kMaxRank)
    fail("output would have " + std::to_string(shape->size()) +
         " dimensions; at most " + std::to_string(kMaxRank) + " are supported");
  merge_type(value->type, elem, shape);
}

void InferContext::set_like(size_t output, size_t input) {
  const Value* from = node_.input(input);
  Value* to = node_.output(output);
  if (!from || !to) return;
  if (from->type.is_tensor())
    merge_type(to->type, from->type.elem, from->type.shape);
  else
    to->type = from->type;
}

void InferContext::set_data(size_t i, FollowedValue value) {
  if (const Value* output = node_.output(i))
    session_.set_data(output, std::move(value));
}

void InferContext::fail(const std::string& what,
                        const std::string& hint) const {
  throw_input(node_.label(), what, hint);
}

void merge_type(ValueType& type, DataType elem,
                const std::optional<Shape>& shape) {
  if (elem != DataType::kUndefined) {
    type.elem = elem;
    type.opaque.clear();
  }
  if (!shape) return;
  if (!type.shape || type.shape->size() != shape->size()) {
    type.shape = shape;
    return;
  }
  for (size_t i = 0; i < shape->size(); ++i) {
    Dim& old = (*type.shape)[i];
    const Dim& found = (*shape)[i];
    if (!found.known() && found.symbol.empty()) continue;
    old.value = found.value;
    old.symbol = found.symbol;
  }
}

std::optional<Shape> common_shape(const std::optional<Shape>& a,
                                  const std::optional<Shape>& b) {
  if (!a || !b || a->size() != b->size()) return std::nullopt;
  Shape common;
  for (size_t i = 0; i < a->size(); ++i)
    common.push_back((*a)[i].same_as((*b)[i]) ? (*a)[i] : Dim());
  return common;
}

}  // namespace lathe::ir
