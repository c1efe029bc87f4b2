#include "passes/io/torch/aten/aten_index.h"

#include <string>

#include "passes/io/torch/aten/aten_sizes.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// One int64 tensor for each axis; a mask gives the positions of its ones.
std::vector<Value*> as_integers(OnnxBuilder& builder, const IndexEntry& entry) {
  if (!entry.is_mask) return {builder.cast(entry.value, DataType::kInt64)};
  Value* ones = builder.op("NonZero", {entry.value});
  std::vector<Value*> parts;
  for (int64_t i = 0; i < entry.count; ++i)
    parts.push_back(builder.select(ones, 0, Argument::of_int(i)));
  return parts;
}

}  // namespace

std::vector<IndexEntry> index_entries(const AtenCall& call, int64_t rank) {
  OnnxBuilder& builder = call.builder();
  const Argument& list = call["indices"];
  if (!list.is_list())
    call.unsupported("argument 'indices' is " + describe(list) +
                     ", expected a list of tensors");
  std::vector<IndexEntry> entries;
  int64_t axis = 0;
  for (const Argument& item : list.items) {
    if (item.is_none()) {
      ++axis;
      continue;
    }
    if (!item.is_tensor())
      call.unsupported("argument 'indices' holds " + describe(item) +
                       ", expected tensors");
    const DataType type = builder.elem(item.value);
    IndexEntry entry{item.value, axis};
    entry.is_mask = type == DataType::kBool || type == DataType::kUint8;
    if (entry.is_mask) {
      entry.value = builder.cast(item.value, DataType::kBool);
      entry.count = builder.rank(item.value);
      if (entry.count == 0)
        call.unsupported("indexes by a mask without dimensions");
    }
    axis += entry.count;
    entries.push_back(entry);
  }
  if (axis > rank)
    call.unsupported("indexes " + std::to_string(axis) +
                     " axes of a tensor of rank " + std::to_string(rank));
  return entries;
}

Positions positions_of(const AtenCall& call,
                       const std::vector<IndexEntry>& entries, int64_t rank) {
  OnnxBuilder& builder = call.builder();
  Positions result;
  for (const IndexEntry& entry : entries)
    for (int64_t i = 0; i < entry.count; ++i)
      result.axes.push_back(entry.axis + i);
  result.order = order_with_first(result.axes, rank);
  const bool together = result.axes.back() - result.axes.front() + 1 ==
                        static_cast<int64_t>(result.axes.size());
  result.place = together ? result.axes.front() : 0;
  if (entries.size() == 1 && entries.front().is_mask) {
    result.value = builder.transpose(
        builder.op("NonZero", {entries.front().value}), {1, 0});
    result.batch_rank = 1;
    return result;
  }
  std::vector<Value*> parts;
  for (const IndexEntry& entry : entries)
    for (Value* part : as_integers(builder, entry)) parts.push_back(part);
  // Twice round, every part has met every other.
  for (int round = 0; round < 2; ++round)
    for (size_t i = 1; i < parts.size(); ++i)
      broadcast(builder, parts[i - 1], parts[i]);
  result.batch_rank = builder.rank(parts.front());
  for (Value*& part : parts)
    part = builder.unsqueeze(part, {result.batch_rank});
  result.value = builder.concat(parts, result.batch_rank);
  return result;
}

std::vector<int64_t> result_order(const Positions& positions, int64_t rank) {
  const int64_t batch = positions.batch_rank;
  const int64_t others = rank - static_cast<int64_t>(positions.axes.size());
  std::vector<int64_t> order;
  for (int64_t i = 0; i < positions.place; ++i) order.push_back(batch + i);
  for (int64_t i = 0; i < batch; ++i) order.push_back(i);
  for (int64_t i = positions.place; i < others; ++i) order.push_back(batch + i);
  return order;
}

}  // namespace lathe::io::aten
