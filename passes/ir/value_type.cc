#include "passes/ir/value_type.h"

namespace lathe::ir {
namespace {

std::string dim_text(const Dim& dim) {
  if (dim.known()) return std::to_string(dim.value);
  return dim.symbol.empty() ? "?" : dim.symbol;
}

}  // namespace

bool is_static(const Shape& shape) {
  for (const Dim& dim : shape)
    if (!dim.known()) return false;
  return true;
}

std::vector<int64_t> to_dims(const Shape& shape) {
  std::vector<int64_t> dims;
  dims.reserve(shape.size());
  for (const Dim& dim : shape) dims.push_back(dim.value);
  return dims;
}

Shape to_shape(const std::vector<int64_t>& dims) {
  Shape shape;
  for (int64_t dim : dims) shape.push_back(dim < 0 ? Dim() : Dim(dim));
  return shape;
}

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? "x" : "") + dim_text(shape[i]);
  return text;
}

std::optional<int64_t> ValueType::element_count() const {
  if (!has_static_shape()) return std::nullopt;
  int64_t count = 1;
  for (const Dim& dim : *shape)
    if (__builtin_mul_overflow(count, dim.value, &count)) return std::nullopt;
  return count;
}

std::string to_string(const ValueType& type) {
  if (!type.is_tensor()) return "opaque";
  if (type.elem == DataType::kUndefined && !type.shape) return "?";
  std::string text = to_string(type.elem);
  if (!type.shape) return text;
  text += "[";
  for (size_t i = 0; i < type.shape->size(); ++i)
    text += (i ? "," : "") + dim_text((*type.shape)[i]);
  return text + "]";
}

}  // namespace lathe::ir
