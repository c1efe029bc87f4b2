// PyTorch's type promotion (documentation, "Tensor Attributes", and
// torch.result_type).
#include <algorithm>

#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

enum Category { kBoolean, kInteger, kFloating };

Category category_of(DataType type) {
  if (ir::is_floating(type)) return kFloating;
  return type == DataType::kBool ? kBoolean : kInteger;
}

bool is_signed(DataType type) {
  return type == DataType::kInt8 || type == DataType::kInt16 ||
         type == DataType::kInt32 || type == DataType::kInt64;
}

DataType promote(DataType a, DataType b) {
  if (a == b || b == DataType::kUndefined) return a;
  if (a == DataType::kUndefined) return b;
  if (category_of(a) != category_of(b))
    return category_of(a) > category_of(b) ? a : b;
  const int a_bits = bits_per_element(a), b_bits = bits_per_element(b);
  if (category_of(a) == kFloating && a_bits == b_bits)
    return DataType::kFloat;  // half and bfloat16
  if (is_signed(a) == is_signed(b)) return a_bits > b_bits ? a : b;
  const DataType whole = is_signed(a) ? a : b;
  const int unsigned_bits = is_signed(a) ? b_bits : a_bits;
  if (bits_per_element(whole) > unsigned_bits) return whole;
  return unsigned_bits == 8    ? DataType::kInt16
         : unsigned_bits == 16 ? DataType::kInt32
                               : DataType::kInt64;
}

DataType number_type(Argument::Kind kind) {
  switch (kind) {
    case Argument::Kind::kBool:
      return DataType::kBool;
    case Argument::Kind::kInt:
      return DataType::kInt64;
    default:
      return DataType::kFloat;
  }
}

// The lower rank counts only where its category is higher.
DataType over(DataType higher, DataType lower) {
  if (higher == DataType::kUndefined) return lower;
  if (lower == DataType::kUndefined) return higher;
  return category_of(lower) > category_of(higher) ? promote(higher, lower)
                                                  : higher;
}

}  // namespace

DataType OnnxBuilder::result_type(
    const std::vector<const Argument*>& operands) const {
  DataType with_dims = DataType::kUndefined, without = with_dims,
           numbers = with_dims;
  for (const Argument* operand : operands) {
    if (operand->is_tensor()) {
      const DataType type = elem(operand->value);
      if (type == DataType::kUndefined) return type;
      DataType& rank = known_rank(operand->value) == 0 ? without : with_dims;
      rank = promote(rank, type);
    } else if (operand->is_number()) {
      numbers = promote(numbers, number_type(operand->kind));
    }
  }
  return over(over(with_dims, without), numbers);
}

Value* OnnxBuilder::as_tensor(const Argument& argument, DataType type) {
  if (argument.is_tensor()) return cast(argument.value, type);
  if (!argument.is_number())
    fail("found " + describe(argument) + ", expected a tensor or a number");
  if (argument.value) return cast(argument.value, type);
  if (argument.kind != Argument::Kind::kFloat && type == DataType::kInt64)
    return scalar_int(argument.integer);
  return scalar(
      type == DataType::kUndefined ? number_type(argument.kind) : type,
      argument.number());
}

}  // namespace lathe::io::aten
