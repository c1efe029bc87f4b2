// index_put: x[a, :, mask] = values.

#include "passes/io/torch/aten/aten_index.h"
#include "passes/io/torch/aten/aten_scatter.h"
#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

// Values that are the same for every one of the mask's positions, without an
// axis for these; null when they are not known to be.
Value* same_for_all(OnnxBuilder& builder, const IndexEntry& mask, Value* values,
                    int64_t rank) {
  const int64_t after = rank - mask.axis - mask.count;
  const int64_t had = builder.rank(values);
  if (had <= after) return values;
  const int64_t at = had - after - 1;
  if (builder.known_dim(values, at) != 1) return nullptr;
  for (int64_t i = 0; i < at; ++i)
    if (builder.known_dim(values, i) != 1) return nullptr;
  std::vector<int64_t> lead;
  for (int64_t i = 0; i <= at; ++i) lead.push_back(i);
  return builder.squeeze(values, lead);
}

Value* put_masked(OnnxBuilder& builder, Value* self, const IndexEntry& mask,
                  Value* values, bool accumulate) {
  const int64_t rank = builder.rank(self);
  std::vector<int64_t> trailing;
  for (int64_t i = mask.axis + mask.count; i < rank; ++i)
    trailing.push_back(i - mask.axis);
  Value* condition = builder.unsqueeze(mask.value, trailing);
  if (accumulate) values = builder.op("Add", {self, values});
  return where(builder, condition, values, self);
}

}  // namespace

Arguments emit_index_put(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const bool accumulate = call.flag("accumulate", false);
  Value* values = builder.as_tensor(call["values"], builder.elem(self));
  const auto entries = index_entries(call, rank);
  if (entries.empty()) {
    Value* whole = expand_to(builder, values, sizes_of(builder, self));
    return one(accumulate ? builder.op("Add", {self, whole}) : whole);
  }
  if (entries.size() == 1 && entries.front().is_mask)
    if (Value* same = same_for_all(builder, entries.front(), values, rank))
      return one(put_masked(builder, self, entries.front(), same, accumulate));
  const Positions positions = positions_of(call, entries, rank);
  // The values as wide as the result of x[indices], then in ScatterND's order.
  Sizes unordered;
  for (int64_t i = 0; i < positions.batch_rank; ++i)
    unordered.push_back(size_of(builder, positions.value, i));
  for (size_t i = positions.axes.size(); i < positions.order.size(); ++i)
    unordered.push_back(size_of(builder, self, positions.order[i]));
  const auto order = result_order(positions, rank);
  Sizes sizes;
  for (int64_t axis : order)
    sizes.push_back(unordered[static_cast<size_t>(axis)]);
  Value* updates = builder.transpose(expand_to(builder, values, sizes),
                                     inverse_order(order));
  Value* result =
      scatter_nd(builder, builder.transpose(self, positions.order),
                 positions.value, updates, accumulate ? "add" : "none");
  return one(builder.transpose(result, inverse_order(positions.order)));
}

}  // namespace lathe::io::aten
