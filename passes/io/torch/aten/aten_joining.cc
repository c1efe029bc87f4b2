// cat, stack and their relatives.
#include <algorithm>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// All cast to the type that PyTorch joins them in.
std::vector<Value*> promoted(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  std::vector<Value*> values = call.tensors("tensors");
  if (values.empty()) call.unsupported("the list of tensors is empty");
  Arguments operands;
  for (Value* value : values) operands.push_back(Argument::tensor(value));
  std::vector<const Argument*> pointers;
  for (const Argument& operand : operands) pointers.push_back(&operand);
  const DataType type = builder.result_type(pointers);
  for (Value*& value : values) value = builder.cast(value, type);
  return values;
}

// PyTorch passes over 1-D tensors without elements, whatever the others' rank.
// One that stands among others of another rank has none.
std::vector<Value*> without_empty(const OnnxBuilder& builder,
                                  const std::vector<Value*>& values) {
  const bool other_ranks = std::ranges::any_of(values, [&](const Value* value) {
    return builder.known_rank(value).value_or(1) != 1;
  });
  std::vector<Value*> kept;
  for (Value* value : values)
    if (builder.known_rank(value) != 1 ||
        (!other_ranks && builder.known_dim(value, 0) != 0))
      kept.push_back(value);
  return kept.empty() ? std::vector<Value*>{values.front()} : kept;
}

Arguments join_raised(const AtenCall& call, int64_t rank, int64_t axis) {
  std::vector<Value*> values = promoted(call);
  for (Value*& value : values)
    value = at_least_rank(call.builder(), value, rank);
  return one(call.builder().concat(values, axis));
}

}  // namespace

Arguments emit_cat(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const std::vector<Value*> values = without_empty(builder, promoted(call));
  const int64_t rank = builder.rank(values.front());
  if (rank == 0) call.unsupported("found tensors without dimensions");
  return one(builder.concat(
      values, call.axis(call.given("axis") ? "axis" : "dim", rank, 0)));
}

Arguments emit_stack(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  std::vector<Value*> values = promoted(call);
  const int64_t axis = call.axis("dim", builder.rank(values.front()) + 1, 0);
  for (Value*& value : values) value = builder.unsqueeze(value, {axis});
  return one(builder.concat(values, axis));
}

Arguments emit_hstack(const AtenCall& call) {
  const std::vector<Value*> values = call.tensors("tensors");
  const bool flat = !values.empty() && call.builder().rank(values.front()) <= 1;
  return join_raised(call, 1, flat ? 0 : 1);
}

Arguments emit_vstack(const AtenCall& call) { return join_raised(call, 2, 0); }

Arguments emit_dstack(const AtenCall& call) { return join_raised(call, 3, 2); }

Arguments emit_column_stack(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  std::vector<Value*> values = promoted(call);
  for (Value*& value : values) {
    const int64_t rank = builder.rank(value);
    if (rank == 0) value = builder.unsqueeze(value, {0, 1});
    if (rank == 1) value = builder.unsqueeze(value, {1});
  }
  return one(builder.concat(values, 1));
}

}  // namespace lathe::io::aten
