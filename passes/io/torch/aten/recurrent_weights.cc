#include "passes/io/torch/aten/recurrent_weights.h"

#include <algorithm>

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Tensor;
using ir::Value;

// Blocks of the leading axis in the order of ONNX's gates.
Tensor reordered(const Tensor& tensor, const std::vector<int64_t>& gates) {
  const auto bytes = tensor.bytes();
  const size_t block = bytes.size() / gates.size();
  std::vector<std::byte> moved;
  moved.reserve(bytes.size());
  for (int64_t gate : gates) {
    const auto part = bytes.subspan(static_cast<size_t>(gate) * block, block);
    moved.insert(moved.end(), part.begin(), part.end());
  }
  return Tensor(tensor.type(), tensor.dims(), ir::Bytes::own(std::move(moved)));
}

Value* reordered(OnnxBuilder& builder, Value* value,
                 const std::vector<int64_t>& gates) {
  value = builder.cast(value, DataType::kFloat);
  if (std::ranges::is_sorted(gates)) return value;
  const auto parts =
      builder.op_n("Split", {value}, gates.size(), {{"axis", int64_t{0}}});
  std::vector<Value*> moved;
  for (int64_t gate : gates) moved.push_back(parts[static_cast<size_t>(gate)]);
  return builder.concat(moved, 0);
}

Tensor as_float(const Tensor& tensor) {
  if (tensor.type() == DataType::kFloat) return tensor;
  return Tensor::from_doubles(DataType::kFloat, tensor.dims(),
                              tensor.to_doubles());
}

// One matrix or row a direction, made of parts that follow each other: the
// directions' stack.
Value* stacked(OnnxBuilder& builder, const RecurrentKind& kind,
               const std::vector<std::vector<Value*>>& directions,
               const std::string& name) {
  const bool constant = std::ranges::all_of(directions, [](const auto& parts) {
    return std::ranges::all_of(
        parts, [](const Value* part) { return part->is_constant(); });
  });
  if (constant) {
    std::vector<std::byte> bytes;
    for (const auto& parts : directions)
      for (const Value* part : parts) {
        const Tensor moved = reordered(as_float(part->tensor()), kind.gates);
        bytes.insert(bytes.end(), moved.bytes().begin(), moved.bytes().end());
      }
    std::vector<int64_t> dims = directions.front().front()->tensor().dims();
    dims.front() *= static_cast<int64_t>(directions.front().size());
    dims.insert(dims.begin(), static_cast<int64_t>(directions.size()));
    return builder.weight(
        name, Tensor(DataType::kFloat, dims, ir::Bytes::own(std::move(bytes))));
  }
  std::vector<Value*> rows;
  for (const auto& parts : directions) {
    std::vector<Value*> moved;
    for (Value* part : parts)
      moved.push_back(reordered(builder, part, kind.gates));
    rows.push_back(builder.unsqueeze(builder.concat(moved, 0), {0}));
  }
  return builder.concat(rows, 0);
}

void check_shape(OnnxBuilder& builder, const Value* value,
                 const std::vector<std::optional<int64_t>>& expected) {
  const auto dims = builder.known_dims(value);
  if (!dims) return;
  bool fits = dims->size() == expected.size();
  for (size_t i = 0; fits && i < expected.size(); ++i)
    fits = !expected[i] || *expected[i] == (*dims)[i];
  if (fits) return;
  builder.fail_input("the recurrent layer's parameter '" + value->name() +
                     "' has the shape " + ir::to_string(*value->type.shape) +
                     ", which does not go with its hidden size");
}

}  // namespace

RecurrentWeights arrange_weights(OnnxBuilder& builder,
                                 const RecurrentKind& kind,
                                 const std::vector<DirectionWeights>& weights,
                                 const std::string& name) {
  RecurrentWeights result;
  result.hidden_size =
      builder.dim(weights.front().hidden, 1, "the hidden size");
  const auto gates = static_cast<int64_t>(kind.gates.size());
  int64_t rows = 0;
  if (__builtin_mul_overflow(gates, result.hidden_size, &rows) || rows <= 0)
    builder.fail_input("the hidden size is " +
                       std::to_string(result.hidden_size));
  const auto inputs = builder.known_dim(weights.front().input, 1);
  std::vector<std::vector<Value*>> w, r, b;
  for (const DirectionWeights& direction : weights) {
    check_shape(builder, direction.input, {rows, inputs});
    check_shape(builder, direction.hidden, {rows, result.hidden_size});
    w.push_back({direction.input});
    r.push_back({direction.hidden});
    if (!direction.input_bias) continue;
    check_shape(builder, direction.input_bias, {rows});
    check_shape(builder, direction.hidden_bias, {rows});
    b.push_back({direction.input_bias, direction.hidden_bias});
  }
  result.w = stacked(builder, kind, w, name + ".W");
  result.r = stacked(builder, kind, r, name + ".R");
  if (!b.empty()) result.b = stacked(builder, kind, b, name + ".B");
  return result;
}

}  // namespace lathe::io::aten
