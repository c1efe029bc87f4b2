// split, chunk, unbind: one tensor as several along an axis.
#include <algorithm>
#include <string>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

// More parts than this are taken for damage.
constexpr int64_t kMaxParts = 1 << 16;

Arguments as_list(const std::vector<Value*>& values) {
  Arguments items;
  for (Value* value : values) items.push_back(Argument::tensor(value));
  return {Argument::list(std::move(items))};
}

void check_parts(const AtenCall& call, int64_t parts) {
  if (parts < 0 || parts > kMaxParts)
    call.unsupported("splits into " + std::to_string(parts) +
                     " parts, expected at most " + std::to_string(kMaxParts));
}

Arguments split_into(OnnxBuilder& builder, Value* value, int64_t axis,
                     const Sizes& sizes) {
  if (sizes.size() == 1) return as_list({value});
  const bool equal = std::ranges::all_of(sizes, [&](const Argument& size) {
    return is_constant_int(size) && is_int(sizes.front(), size.integer);
  });
  // Without sizes Split makes equal parts, which it needs no size for.
  return as_list(builder.op_n(
      "Split", {value, equal ? nullptr : builder.int_vector(sizes)},
      sizes.size(), {{"axis", axis}}));
}

Arguments split_evenly(const AtenCall& call, Value* value, int64_t axis,
                       int64_t size, int64_t part) {
  if (part <= 0 && size != 0)
    call.unsupported("the size of a part is " + std::to_string(part) +
                     ", expected a positive one");
  const int64_t parts =
      part <= 0 ? 1 : std::max<int64_t>((size - 1) / part + 1, 1);
  check_parts(call, parts);
  std::vector<int64_t> sizes(static_cast<size_t>(parts), part);
  sizes.back() = size - part * (parts - 1);
  return split_into(call.builder(), value, axis, Argument::list(sizes).items);
}

// The slices between cuts, which PyTorch reads as a slice's bounds.
Arguments slices_between(OnnxBuilder& builder, Value* value, int64_t axis,
                         const Sizes& cuts) {
  std::vector<Value*> parts;
  Argument start = Argument::of_int(0);
  for (size_t i = 0; i <= cuts.size(); ++i) {
    const Argument end = i < cuts.size() ? cuts[i] : Argument::none();
    parts.push_back(
        builder.slice(value, axis, start, end, Argument::of_int(1)));
    start = end;
  }
  return as_list(parts);
}

// Cuts that lie in order within a known size are a Split.
Arguments split_at(const AtenCall& call, Value* value, int64_t axis,
                   const Sizes& cuts) {
  OnnxBuilder& builder = call.builder();
  const auto size = builder.known_dim(value, axis);
  std::vector<int64_t> sizes;
  int64_t last = 0;
  bool ordered = size.has_value();
  for (const Argument& cut : cuts) {
    ordered = ordered && is_constant_int(cut) && cut.integer >= last &&
              cut.integer <= *size;
    if (!ordered) return slices_between(builder, value, axis, cuts);
    sizes.push_back(cut.integer - last);
    last = cut.integer;
  }
  if (!size) return slices_between(builder, value, axis, cuts);
  sizes.push_back(*size - last);
  return split_into(builder, value, axis, Argument::list(sizes).items);
}

// As many parts as said, the first ones larger by one where it does not come
// out even.
Arguments split_sections(const AtenCall& call, Value* value, int64_t axis,
                         int64_t sections) {
  OnnxBuilder& builder = call.builder();
  if (sections <= 0)
    call.unsupported("splits into " + std::to_string(sections) + " sections");
  check_parts(call, sections);
  const Argument size = size_of(builder, value, axis);
  const Argument count = Argument::of_int(sections);
  const Argument even = compute(builder, "Div", size, count);
  const Argument more =
      compute(builder, "Sub", size, compute(builder, "Mul", even, count));
  Sizes cuts;
  for (int64_t i = 1; i < sections; ++i) {
    const Argument index = Argument::of_int(i);
    cuts.push_back(compute(builder, "Add", compute(builder, "Mul", even, index),
                           compute(builder, "Min", index, more)));
  }
  return split_at(call, value, axis, cuts);
}

int64_t split_axis(const AtenCall& call, Value* self) {
  OnnxBuilder& builder = call.builder();
  const int64_t rank = builder.rank(self);
  if (rank == 0) call.unsupported("found a tensor without dimensions");
  // hsplit, vsplit and dsplit know their axis.
  if (call.name() == "vsplit") return 0;
  const int64_t fixed = call.name() == "hsplit" ? std::min<int64_t>(rank, 2) - 1
                        : call.name() == "dsplit" ? 2
                                                  : -1;
  if (fixed >= rank)
    call.unsupported("found a tensor of rank " + std::to_string(rank) +
                     ", expected at least " + std::to_string(fixed + 1));
  return fixed >= 0 ? fixed : call.axis("dim", rank, 0);
}

}  // namespace

Arguments emit_split(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = split_axis(call, self);
  const char* name = call.given("split_sizes") ? "split_sizes" : "split_size";
  if (call[name].is_list()) {
    const Sizes sizes = size_list(call, name);
    if (sizes.empty()) call.unsupported("splits into no parts");
    return split_into(builder, self, axis, sizes);
  }
  const int64_t part = call.integer(name);
  const int64_t size =
      builder.dim(self, axis, "the size of the axis that aten::split splits");
  return split_evenly(call, self, axis, size, part);
}

Arguments emit_chunk(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = split_axis(call, self);
  const int64_t chunks = call.integer("chunks");
  if (chunks <= 0)
    call.unsupported("chunks is " + std::to_string(chunks) +
                     ", expected a positive number");
  if (chunks == 1) return as_list({self});
  const int64_t size =
      builder.dim(self, axis, "the size of the axis that aten::chunk splits");
  // Of nothing PyTorch makes as many empty parts as asked for.
  if (size == 0) {
    check_parts(call, chunks);
    return split_into(builder, self, axis,
                      Sizes(static_cast<size_t>(chunks), Argument::of_int(0)));
  }
  return split_evenly(call, self, axis, size, (size - 1) / chunks + 1);
}

Arguments emit_tensor_split(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = split_axis(call, self);
  if (call.given("tensor_indices_or_sections")) {
    Value* given = call.tensor("tensor_indices_or_sections");
    const auto known = builder.known_ints(given);
    if (!known)
      call.unsupported(
          "argument 'tensor_indices_or_sections' is computed, "
          "expected a constant");
    return builder.rank(given) == 0
               ? split_sections(call, self, axis, known->front())
               : split_at(call, self, axis, Argument::list(*known).items);
  }
  if (!call.given("indices"))
    return split_sections(call, self, axis, call.integer("sections"));
  return split_at(call, self, axis, size_list(call, "indices"));
}

Arguments emit_unbind(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = split_axis(call, self);
  const int64_t size = builder.dim(
      self, axis, "the size of the axis that aten::unbind takes apart");
  check_parts(call, size);
  if (size == 0) return as_list({});
  std::vector<Value*> parts{self};
  if (size > 1)
    parts = builder.op_n("Split", {self}, static_cast<size_t>(size),
                         {{"axis", axis}});
  for (Value*& part : parts) part = builder.squeeze(part, {axis});
  return as_list(parts);
}

}  // namespace lathe::io::aten
