// diagonal, diag, diag_embed.
#include <cstdlib>
#include <string>

#include "passes/io/torch/aten/aten_scatter.h"
#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

void check_offset(const AtenCall& call, int64_t offset) {
  if (std::abs(offset / 2) > INT32_MAX)
    call.unsupported("the diagonal " + std::to_string(offset) +
                     " is out of range");
}

// Of the matrices along two axes, the diagonal as the last axis: the matrices
// flattened, every (columns + 1)-th element.
Value* diagonal_of(OnnxBuilder& builder, Value* self, int64_t offset,
                   int64_t rows_axis, int64_t columns_axis) {
  const int64_t rank = builder.rank(self);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < rank; ++i)
    if (i != rows_axis && i != columns_axis) order.push_back(i);
  order.push_back(rows_axis);
  order.push_back(columns_axis);
  const Argument rows = size_of(builder, self, rows_axis);
  const Argument columns = size_of(builder, self, columns_axis);
  const Argument zero = Argument::of_int(0), one_more = Argument::of_int(1);
  const Argument aside = Argument::of_int(std::abs(offset));
  const Argument length = compute(
      builder, "Max", zero,
      offset >= 0 ? compute(builder, "Min", rows,
                            compute(builder, "Sub", columns, aside))
                  : compute(builder, "Min",
                            compute(builder, "Sub", rows, aside), columns));
  const Argument stride = compute(builder, "Add", columns, one_more);
  const Argument first =
      offset >= 0 ? aside : compute(builder, "Mul", columns, aside);
  Value* positions = progression(builder, first, length, stride);
  Sizes flat;
  for (int64_t axis : order) flat.push_back(size_of(builder, self, axis));
  flat.pop_back();
  flat.back() = compute(builder, "Mul", rows, columns);
  return builder.op(
      "Gather",
      {reshape_to(builder, builder.transpose(self, order), flat), positions},
      {{"axis", rank - 2}});
}

// A new tensor with the last axis on the diagonal of the axes `rows_axis` and
// `columns_axis` of the result, zeros elsewhere.
Value* embedded(OnnxBuilder& builder, Value* self, int64_t offset,
                int64_t rows_axis, int64_t columns_axis) {
  const int64_t rank = builder.rank(self);
  const int64_t aside = std::abs(offset);
  const Argument size =
      compute(builder, "Add", size_of(builder, self, rank - 1),
              Argument::of_int(aside));
  Value* padded = self;
  if (aside != 0) {
    // Row i holds element i, or i - aside below the main diagonal.
    std::vector<Value*> parts{self};
    Sizes sizes = sizes_of(builder, self);
    sizes.back() = Argument::of_int(aside);
    Value* zeros = builder.expand(builder.scalar(builder.elem(self), 0),
                                  size_vector(builder, sizes));
    parts.insert(offset > 0 ? parts.end() : parts.begin(), zeros);
    padded = builder.concat(parts, rank - 1);
  }
  Value* index = range(builder, size);
  Value* diagonal = index;
  if (offset != 0)
    diagonal = builder.op("Add", {index, builder.scalar_int(offset)});
  Value* on = builder.op("Equal", {builder.unsqueeze(diagonal, {1}), index});
  Value* matrix = where(builder, on, builder.unsqueeze(padded, {rank}),
                        builder.scalar(builder.elem(self), 0));
  std::vector<int64_t> places;
  for (int64_t i = 0; i <= rank; ++i)
    if (i != rows_axis && i != columns_axis) places.push_back(i);
  places.push_back(rows_axis);
  places.push_back(columns_axis);
  return builder.transpose(matrix, inverse_order(places));
}

}  // namespace

Arguments emit_diagonal(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const int64_t rows = call.axis("dim1", rank, 0);
  const int64_t columns = call.axis("dim2", rank, 1);
  if (rank < 2 || rows == columns)
    call.unsupported("dim1 and dim2 must name two axes of the tensor");
  const int64_t offset = call.integer("offset", 0);
  check_offset(call, offset);
  return one(diagonal_of(builder, self, offset, rows, columns));
}

Arguments emit_diag(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const int64_t offset = call.integer("diagonal", 0);
  check_offset(call, offset);
  if (rank != 1 && rank != 2)
    call.unsupported("found a tensor of rank " + std::to_string(rank) +
                     ", expected 1 or 2");
  return one(rank == 1 ? embedded(builder, self, offset, 0, 1)
                       : diagonal_of(builder, self, offset, 0, 1));
}

Arguments emit_diag_embed(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) call.unsupported("found a tensor without dimensions");
  int64_t offset = call.integer("offset", 0);
  check_offset(call, offset);
  int64_t rows = call.axis("dim1", rank + 1, -2);
  int64_t columns = call.axis("dim2", rank + 1, -1);
  if (rows == columns) call.unsupported("dim1 and dim2 name the same axis");
  return one(embedded(builder, self, offset, rows, columns));
}

Arguments emit_diagonal_scatter(const AtenCall& call) {
  call.unsupported("writes to a diagonal, which ONNX has no operator for",
                   "multiply by a mask of the diagonal instead");
}

}  // namespace lathe::io::aten
