#include "passes/io/torch/aten/aten_composites.h"

#include <cmath>
#include <limits>
#include <utility>

namespace lathe::io::aten {

using ir::DataType;
using ir::Value;
using Sizes = std::vector<int64_t>;

namespace {

// Tensors of one value up to this size are written out.
constexpr int64_t kMaxWritten = int64_t{1} << 20;

}  // namespace

double lowest_of(DataType type) {
  switch (type) {
    case DataType::kFloat16:
      return -65504;
    case DataType::kBfloat16:
      return -std::ldexp(2.0 - std::ldexp(1.0, -7), 127);
    case DataType::kDouble:
      return std::numeric_limits<double>::lowest();
    default:
      return std::numeric_limits<float>::lowest();
  }
}

DataType arithmetic_type(DataType type) {
  switch (type) {
    case DataType::kBool:
    case DataType::kInt8:
    case DataType::kUint8:
    case DataType::kInt16:
    case DataType::kUint16:
      return DataType::kInt32;
    default:
      return type;
  }
}

Value* matmul(OnnxBuilder& builder, Value* a, Value* b) {
  const DataType type = builder.elem(a), inner = arithmetic_type(type);
  return builder.cast(
      builder.op("MatMul", {builder.cast(a, inner), builder.cast(b, inner)}),
      type);
}

Value* swap_last_axes(OnnxBuilder& builder, Value* x) {
  Sizes order;
  for (int64_t i = 0; i < builder.rank(x); ++i) order.push_back(i);
  if (order.size() < 2)
    builder.fail("two axes change places, but the tensor has rank " +
                 std::to_string(order.size()));
  std::swap(order[order.size() - 2], order.back());
  return builder.transpose(x, order);
}

Value* linear(OnnxBuilder& builder, Value* x, Value* weight, Value* bias) {
  const bool matrix = builder.rank(weight) != 1;
  if (matrix && bias && builder.known_rank(x) == 2 && builder.is_floating(x))
    return builder.op("Gemm", {x, weight, bias}, {{"transB", int64_t{1}}});
  Value* product =
      matmul(builder, x, matrix ? swap_last_axes(builder, weight) : weight);
  return bias ? builder.op("Add", {product, bias}) : product;
}

Value* filled(OnnxBuilder& builder, DataType type,
              const std::vector<Argument>& sizes, double value) {
  Sizes dims;
  int64_t count = 1;
  for (const Argument& size : sizes) {
    const bool small = size.kind == Argument::Kind::kInt && !size.value &&
                       size.integer >= 0 && size.integer <= kMaxWritten;
    count = small ? count * size.integer : kMaxWritten + 1;
    if (count > kMaxWritten)
      return builder.expand(builder.scalar(type, value),
                            builder.int_vector(sizes));
    dims.push_back(size.integer);
  }
  const std::vector<double> values(static_cast<size_t>(count), value);
  return builder.constant(ir::Tensor::from_doubles(type, dims, values));
}

Value* layer_norm(OnnxBuilder& builder, Value* x,
                  const std::vector<Argument>& sizes, Value* weight,
                  Value* bias, double eps) {
  const DataType type = builder.elem(x);
  Value* scale =
      weight ? builder.cast(weight, type) : filled(builder, type, sizes, 1);
  return builder.op("LayerNormalization",
                    {x, scale, bias ? builder.cast(bias, type) : nullptr},
                    {{"axis", -static_cast<int64_t>(sizes.size())},
                     {"epsilon", static_cast<float>(eps)}});
}

}  // namespace lathe::io::aten
