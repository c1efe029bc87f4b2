// index, gather, masked_select, nonzero: elements at given positions.
#include <string>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_index.h"
#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// Whether each tensor runs along a dimension of its own, in order, of what they
// broadcast to: x[:, i[:, None], j[None, :]] takes rows and columns.
bool is_separable(const OnnxBuilder& builder,
                  const std::vector<IndexEntry>& entries) {
  const auto count = static_cast<int64_t>(entries.size());
  for (int64_t k = 0; k < count; ++k) {
    const IndexEntry& entry = entries[static_cast<size_t>(k)];
    const int64_t rank = builder.rank(entry.value);
    if (entry.is_mask || entry.axis != entries.front().axis + k || rank > count)
      return false;
    for (int64_t i = 0; i < rank; ++i)
      if (count - rank + i != k && builder.known_dim(entry.value, i) != 1)
        return false;
  }
  // Fewer dimensions than tensors would be all of size 1.
  return builder.rank(entries.front().value) == count;
}

Value* gather_along(OnnxBuilder& builder, Value* self, Value* index,
                    int64_t axis) {
  const bool narrow = builder.elem(index) == DataType::kInt32;
  return builder.op(
      "Gather", {self, narrow ? index : builder.cast(index, DataType::kInt64)},
      {{"axis", axis}});
}

Arguments emit_index(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const auto entries = index_entries(call, rank);
  if (entries.empty()) return one(self);
  const IndexEntry& first = entries.front();
  if (entries.size() == 1 && !first.is_mask)
    return one(gather_along(builder, self, first.value, first.axis));
  if (is_separable(builder, entries)) {
    for (const IndexEntry& entry : entries) {
      Value* index = reshape_to(builder, entry.value, {Argument::of_int(-1)});
      self = gather_along(builder, self, index, entry.axis);
    }
    return one(self);
  }
  if (entries.size() == 1 && first.count == 1)
    return one(
        builder.op("Compress", {self, first.value}, {{"axis", first.axis}}));
  const Positions positions = positions_of(call, entries, rank);
  Value* picked = builder.op(
      "GatherND", {builder.transpose(self, positions.order), positions.value});
  return one(builder.transpose(picked, result_order(positions, rank)));
}

Arguments emit_index_select(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value *self = call.tensor("self"), *index = call.tensor("index");
  const int64_t rank = builder.rank(self);
  if (rank == 0) return one(self);
  if (builder.rank(index) == 0) index = builder.unsqueeze(index, {0});
  return one(
      builder.op("Gather", {self, index}, {{"axis", call.axis("dim", rank)}}));
}

Arguments emit_gather(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value *self = call.tensor("self"), *index = call.tensor("index");
  const bool scalar = builder.rank(index) == 0;
  if (builder.rank(self) == 0) self = builder.unsqueeze(self, {0});
  if (scalar) index = builder.unsqueeze(index, {0});
  const int64_t axis = call.axis("dim", builder.rank(self));
  Value* picked = builder.op("GatherElements", {self, index}, {{"axis", axis}});
  return one(scalar ? builder.squeeze(picked, {0}) : picked);
}

Arguments emit_take(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* flat =
      reshape_to(builder, call.tensor("self"), {Argument::of_int(-1)});
  return one(builder.op("Gather", {flat, call.tensor("index")}));
}

Arguments emit_take_along_dim(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value *self = call.tensor("self"), *index = call.tensor("indices");
  if (!call.given("dim")) {
    const Sizes flat{Argument::of_int(-1)};
    return one(builder.op(
        "GatherElements",
        {reshape_to(builder, self, flat), reshape_to(builder, index, flat)},
        {{"axis", int64_t{0}}}));
  }
  const int64_t rank = builder.rank(self);
  const int64_t axis = call.axis("dim", rank);
  if (builder.rank(index) != rank)
    call.unsupported("argument 'indices' has rank " +
                     std::to_string(builder.rank(index)) + ", expected " +
                     std::to_string(rank));
  // Off the axis, the two broadcast.
  Sizes self_sizes = sizes_of(builder, self);
  Sizes index_sizes = sizes_of(builder, index);
  auto spread = [&](Value* value, Sizes sizes, const Sizes& own) {
    bool changes = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const ir::Dim from = (*value->type.shape)[i];
      const bool stays = static_cast<int64_t>(i) == axis ||
                         from.same_as(dim_of(builder, sizes[i])) ||
                         is_int(sizes[i], 1) ||
                         (is_constant_int(own[i]) && !is_int(own[i], 1));
      if (stays) sizes[i] = Argument::of_int(1);
      changes = changes || !stays;
    }
    return changes ? builder.expand(value, size_vector(builder, sizes)) : value;
  };
  Value* wide = spread(self, index_sizes, self_sizes);
  Value* picks = spread(index, self_sizes, index_sizes);
  return one(builder.op("GatherElements", {wide, picks}, {{"axis", axis}}));
}

Arguments emit_masked_select(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  Value* mask = builder.cast(call.tensor("mask"), DataType::kBool);
  broadcast(builder, self, mask);
  const Sizes flat{Argument::of_int(-1)};
  // Compress without an axis flattens, but not a tensor without dimensions.
  if (builder.rank(self) == 0) self = reshape_to(builder, self, flat);
  return one(builder.op("Compress", {self, reshape_to(builder, mask, flat)}));
}

// [rank, count] positions of what is not zero.
Value* nonzero_columns(const AtenCall& call, Value* self) {
  OnnxBuilder& builder = call.builder();
  const DataType type = builder.elem(self);
  const bool direct = type == DataType::kBool || type == DataType::kFloat ||
                      type == DataType::kInt32 || type == DataType::kInt64 ||
                      type == DataType::kUint8;
  return builder.op("NonZero",
                    {direct ? self : builder.cast(self, DataType::kBool)});
}

Arguments emit_nonzero(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  if (builder.rank(self) == 0)
    call.unsupported("found a tensor without dimensions");
  return one(builder.transpose(nonzero_columns(call, self), {1, 0}));
}

Arguments emit_nonzero_numpy(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  if (builder.rank(self) == 0) self = builder.unsqueeze(self, {0});
  Value* columns = nonzero_columns(call, self);
  Arguments items;
  for (int64_t i = 0; i < builder.rank(self); ++i)
    items.push_back(
        Argument::tensor(builder.select(columns, 0, Argument::of_int(i))));
  return {Argument::list(std::move(items))};
}

constexpr AtenRow kRows[] = {
    {"index", emit_index},
    {"_unsafe_index", emit_index},
    {"index_select", emit_index_select},
    {"gather", emit_gather},
    {"take", emit_take},
    {"take_along_dim", emit_take_along_dim},
    {"masked_select", emit_masked_select},
    {"nonzero", emit_nonzero},
    {"argwhere", emit_nonzero},
    {"nonzero_numpy", emit_nonzero_numpy},
    {"index_put", emit_index_put},
    {"_index_put_impl", emit_index_put},
    {"index_put_impl", emit_index_put},
    {"_unsafe_index_put", emit_index_put},
    {"index_add", emit_index_add},
    {"index_copy", emit_index_copy},
    {"index_fill", emit_index_fill},
    {"scatter", emit_scatter},
    {"scatter_add", emit_scatter_add},
    {"scatter_reduce", emit_scatter_reduce},
    {"masked_scatter", emit_masked_scatter},
};

}  // namespace

std::span<const AtenRow> indexing_rows() { return kRows; }

}  // namespace lathe::io::aten
