// expand, repeat, repeat_interleave: elements more than once.
#include <algorithm>
#include <numeric>
#include <string>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// Longer lists of positions are not written into the model.
constexpr int64_t kMaxPositions = 1 << 16;

// Positions 0, 0, 1, 2, 2, … : i as often as repeats[i] says, when known.
std::optional<std::vector<int64_t>> listed_positions(
    const std::vector<int64_t>& repeats) {
  std::vector<int64_t> positions;
  for (size_t i = 0; i < repeats.size(); ++i) {
    if (repeats[i] < 0 || repeats[i] > kMaxPositions) return std::nullopt;
    positions.insert(positions.end(), static_cast<size_t>(repeats[i]),
                     static_cast<int64_t>(i));
    if (positions.size() > static_cast<size_t>(kMaxPositions))
      return std::nullopt;
  }
  return positions;
}

// The same when computed: position i counts the running sums of repeats that
// are at most i.
Value* computed_positions(OnnxBuilder& builder, Value* repeats) {
  Value* wide = builder.cast(repeats, DataType::kInt64);
  Value* ends = builder.op("CumSum", {wide, builder.scalar_int(0)});
  const Argument total = Argument::computed(
      Argument::Kind::kInt,
      builder.reduce("ReduceSum", wide, {0}, /*keep_dims=*/false));
  Value* steps = builder.unsqueeze(range(builder, total), {1});
  Value* passed = builder.op("GreaterOrEqual", {steps, ends});
  return builder.reduce("ReduceSum", builder.cast(passed, DataType::kInt64),
                        {1}, /*keep_dims=*/false);
}

Value* positions_of(const AtenCall& call, Value* repeats) {
  OnnxBuilder& builder = call.builder();
  if (const auto known = builder.known_ints(repeats))
    if (const auto listed = listed_positions(*known))
      return builder.ints(*listed);
  if (builder.rank(repeats) != 1)
    call.unsupported("argument 'repeats' has rank " +
                     std::to_string(builder.rank(repeats)) + ", expected 1");
  return computed_positions(builder, repeats);
}

// Each element along the axis `count` times: [.., n, ..] to [.., n, count, ..]
// to [.., n * count, ..].
Value* repeat_each(OnnxBuilder& builder, Value* value, int64_t axis,
                   const Argument& count) {
  if (is_int(count, 0)) return builder.slice(value, axis, 0, 0);
  const auto size = builder.known_dim(value, axis);
  if (size && is_constant_int(count))
    if (const auto listed = listed_positions(std::vector<int64_t>(
            static_cast<size_t>(std::min(*size, kMaxPositions + 1)),
            count.integer)))
      return builder.op("Gather", {value, builder.ints(*listed)},
                        {{"axis", axis}});
  Sizes sizes = sizes_of(builder, value);
  Sizes spread(sizes.size() + 1, Argument::of_int(-1));
  spread[static_cast<size_t>(axis) + 1] = count;
  sizes[static_cast<size_t>(axis)] = Argument::of_int(-1);
  return reshape_to(
      builder, expand_to(builder, builder.unsqueeze(value, {axis + 1}), spread),
      sizes);
}

}  // namespace

Arguments emit_expand(const AtenCall& call) {
  return one(
      expand_to(call.builder(), call.tensor("self"), size_list(call, "size")));
}

Arguments emit_expand_as(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  return one(expand_to(builder, call.tensor("self"),
                       sizes_of(builder, call.tensor("other"))));
}

Arguments emit_repeat(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  Sizes repeats = size_list(call, call.given("dims") ? "dims" : "repeats");
  const auto rank = static_cast<size_t>(builder.rank(self));
  if (repeats.size() < rank) {
    if (call.name() == "repeat")
      call.unsupported("repeats " + std::to_string(repeats.size()) +
                       " axes of a tensor of rank " + std::to_string(rank));
    repeats.insert(repeats.begin(), rank - repeats.size(), Argument::of_int(1));
  }
  std::vector<int64_t> lead(repeats.size() - rank);
  std::iota(lead.begin(), lead.end(), 0);
  Value* value = builder.unsqueeze(self, lead);
  if (std::ranges::all_of(repeats,
                          [](const Argument& r) { return is_int(r, 1); }))
    return one(value);
  return one(builder.op("Tile", {value, builder.int_vector(repeats)}));
}

Arguments emit_repeat_interleave(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Argument& repeats = call["repeats"];
  if (!call.given("self"))
    return one(builder.cast(positions_of(call, call.tensor("repeats")),
                            builder.elem(repeats.value)));
  Value* self = call.tensor("self");
  if (!call.given("dim") || builder.rank(self) == 0)
    self = reshape_to(builder, self, {Argument::of_int(-1)});
  const int64_t axis = call.axis("dim", builder.rank(self), 0);
  if (!repeats.is_tensor())
    return one(
        repeat_each(builder, self, axis, size_argument(call, "repeats")));
  // A single count holds for all elements.
  const auto count = repeats.value->type.element_count();
  if (count == 1) {
    const auto known = builder.known_ints(repeats.value);
    return one(repeat_each(
        builder, self, axis,
        known ? Argument::of_int(known->front())
              : Argument::computed(
                    Argument::Kind::kInt,
                    builder.reshape(repeats.value, std::vector<int64_t>{}))));
  }
  return one(builder.op("Gather", {self, positions_of(call, repeats.value)},
                        {{"axis", axis}}));
}

}  // namespace lathe::io::aten
