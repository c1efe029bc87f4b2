// slice, select, flip, roll: parts of a tensor in their or another order.
#include <algorithm>
#include <limits>
#include <string>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_scatter.h"
#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

int64_t axis_with_dimensions(const AtenCall& call, Value* self) {
  const int64_t rank = call.builder().rank(self);
  if (rank == 0) call.unsupported("found a tensor without dimensions");
  return call.axis("dim", rank, 0);
}

Arguments emit_slice(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = axis_with_dimensions(call, self);
  const Argument step = size_argument(call, "step", 1);
  if (is_constant_int(step) && step.integer <= 0)
    call.unsupported("step is " + std::to_string(step.integer) +
                     ", expected a positive one");
  return one(builder.slice(self, axis, size_argument(call, "start", 0),
                           size_argument(call, "end", kEnd), step));
}

Arguments emit_select(const AtenCall& call) {
  Value* self = call.tensor("self");
  const int64_t axis = axis_with_dimensions(call, self);
  return one(call.builder().select(self, axis, size_argument(call, "index")));
}

Arguments emit_narrow(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = axis_with_dimensions(call, self);
  const Argument start = size_argument(call, "start");
  const Argument length = size_argument(call, "length");
  Argument end = compute(builder, "Add", start, length);
  // Counted from the back, 0 is the end and not the front.
  if (is_constant_int(start) && start.integer < 0) {
    if (is_int(end, 0)) end = Argument::of_int(kEnd);
    if (!is_constant_int(end))
      call.unsupported("start is negative and length computed");
  }
  return one(builder.slice(self, axis, start, end, Argument::of_int(1)));
}

Value* flipped(OnnxBuilder& builder, Value* value,
               const std::vector<int64_t>& axes) {
  if (axes.empty()) return value;
  const size_t n = axes.size();
  return builder.op(
      "Slice", {value, builder.ints(std::vector<int64_t>(n, -1)),
                builder.ints(std::vector<int64_t>(
                    n, std::numeric_limits<int64_t>::min())),
                builder.ints(axes), builder.ints(std::vector<int64_t>(n, -1))});
}

Arguments emit_flip(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) return one(self);
  return one(flipped(builder, self,
                     call.axes("dims", rank, /*empty_means_all=*/false)));
}

Arguments flip_axis(const AtenCall& call, int64_t axis) {
  Value* self = call.tensor("self");
  const int64_t rank = call.builder().rank(self);
  if (rank <= axis)
    call.unsupported("found a tensor of rank " + std::to_string(rank) +
                     ", expected at least " + std::to_string(axis + 1));
  return one(flipped(call.builder(), self, {axis}));
}

// What lies behind the cut comes to the front.
Value* rolled(OnnxBuilder& builder, Value* value, int64_t axis, int64_t shift) {
  const auto known = builder.known_dim(value, axis);
  if (known && (*known == 0 || shift % *known == 0)) return value;
  if (shift == 0) return value;
  const Argument cut = compute(builder, "Mod", Argument::of_int(-shift),
                               builder.size(value, axis));
  const Argument step = Argument::of_int(1);
  return builder.concat(
      {builder.slice(value, axis, cut, Argument::none(), step),
       builder.slice(value, axis, Argument::of_int(0), cut, step)},
      axis);
}

Arguments emit_roll(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const auto shifts = call.integers("shifts");
  const int64_t rank = builder.rank(self);
  if (rank == 0) return one(self);
  const auto axes = ordered_axes(call, "dims", rank);
  for (int64_t shift : shifts)
    if (shift == std::numeric_limits<int64_t>::min())
      call.unsupported("a shift is out of range");
  if (axes.empty()) {
    if (shifts.size() != 1)
      call.unsupported("found " + std::to_string(shifts.size()) +
                       " shifts without dims, expected one");
    Value* flat = reshape_to(builder, self, {Argument::of_int(-1)});
    return one(reshape_to(builder, rolled(builder, flat, 0, shifts.front()),
                          sizes_of(builder, self)));
  }
  if (axes.size() != shifts.size())
    call.unsupported("found " + std::to_string(shifts.size()) + " shifts for " +
                     std::to_string(axes.size()) + " dims");
  for (size_t i = 0; i < axes.size(); ++i)
    self = rolled(builder, self, axes[i], shifts[i]);
  return one(self);
}

Arguments emit_rot90(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const auto dims = call.given("dims") ? ordered_axes(call, "dims", rank)
                                       : std::vector<int64_t>{0, 1};
  if (rank < 2 || dims.size() != 2 || dims[0] == dims[1])
    call.unsupported("dims must name two different axes of the tensor");
  const int64_t quarters = ((call.integer("k", 1) % 4) + 4) % 4;
  if (quarters == 0) return one(self);
  if (quarters == 2) return one(flipped(builder, self, dims));
  std::vector<int64_t> order = order_with_first({}, rank);
  std::swap(order[static_cast<size_t>(dims[0])],
            order[static_cast<size_t>(dims[1])]);
  return one(flipped(builder, builder.transpose(self, order),
                     {quarters == 1 ? dims[0] : dims[1]}));
}

// self with `middle` in place of what lies from start to end; none: to there.
Value* replaced(OnnxBuilder& builder, Value* self, int64_t axis,
                const Argument& start, Value* middle, const Argument& end) {
  const Argument step = Argument::of_int(1);
  const auto size = builder.known_dim(self, axis);
  std::vector<Value*> parts;
  if (!is_int(start, 0))
    parts.push_back(
        builder.slice(self, axis, Argument::of_int(0), start, step));
  parts.push_back(middle);
  if (!end.is_none() && !is_int(end, kEnd) &&
      !(size && is_constant_int(end) && end.integer >= *size))
    parts.push_back(builder.slice(self, axis, end, Argument::none(), step));
  return builder.concat(parts, axis);
}

Arguments emit_select_scatter(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = axis_with_dimensions(call, self);
  Value* source = builder.cast(call.tensor("src"), builder.elem(self));
  const Argument index = size_argument(call, "index");
  const Argument next =
      is_int(index, -1) ? Argument::none()
                        : compute(builder, "Add", index, Argument::of_int(1));
  return one(replaced(builder, self, axis, index,
                      builder.unsqueeze(source, {axis}), next));
}

Arguments emit_slice_scatter(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t axis = axis_with_dimensions(call, self);
  Value* source = builder.cast(call.tensor("src"), builder.elem(self));
  const Argument step = size_argument(call, "step", 1);
  Argument start = size_argument(call, "start", 0);
  Argument end = size_argument(call, "end", kEnd);
  const auto size = builder.known_dim(self, axis);
  auto from_front = [&](Argument& bound) {
    if (!size || !is_constant_int(bound)) return;
    if (bound.integer < 0) bound.integer += *size;
    bound.integer = std::clamp<int64_t>(bound.integer, 0, *size);
  };
  from_front(start);
  from_front(end);
  if (is_constant_int(start) && is_constant_int(end) &&
      (start.integer < 0) == (end.integer < 0) && start.integer >= end.integer)
    return one(self);
  if (is_int(step, 1))
    return one(replaced(builder, self, axis, start, source, end));
  // The positions are the slice of 0, 1, 2, …
  Value* positions = builder.slice(range(builder, builder.size(self, axis)), 0,
                                   start, end, step);
  return one(scatter_rows(builder, self, axis, positions, source, "none"));
}

constexpr AtenRow kRows[] = {
    {"slice", emit_slice},
    {"slice_copy", emit_slice},
    {"select", emit_select},
    {"select_copy", emit_select},
    {"narrow", emit_narrow},
    {"narrow_copy", emit_narrow},
    {"cat", emit_cat},
    {"concat", emit_cat},
    {"concatenate", emit_cat},
    {"stack", emit_stack},
    {"hstack", emit_hstack},
    {"vstack", emit_vstack},
    {"row_stack", emit_vstack},
    {"dstack", emit_dstack},
    {"column_stack", emit_column_stack},
    {"split", emit_split},
    {"split_copy", emit_split},
    {"unsafe_split", emit_split},
    {"split_with_sizes", emit_split},
    {"split_with_sizes_copy", emit_split},
    {"unsafe_split_with_sizes", emit_split},
    {"chunk", emit_chunk},
    {"unsafe_chunk", emit_chunk},
    {"tensor_split", emit_tensor_split},
    {"hsplit", emit_tensor_split},
    {"vsplit", emit_tensor_split},
    {"dsplit", emit_tensor_split},
    {"unbind", emit_unbind},
    {"unbind_copy", emit_unbind},
    {"flip", emit_flip},
    {"fliplr", [](const AtenCall& call) { return flip_axis(call, 1); }},
    {"flipud", [](const AtenCall& call) { return flip_axis(call, 0); }},
    {"roll", emit_roll},
    {"rot90", emit_rot90},
    {"slice_scatter", emit_slice_scatter},
    {"select_scatter", emit_select_scatter},
    {"diagonal", emit_diagonal},
    {"diagonal_copy", emit_diagonal},
    {"diag", emit_diag},
    {"diag_embed", emit_diag_embed},
    {"diagonal_scatter", emit_diagonal_scatter},
};

}  // namespace

std::span<const AtenRow> slicing_rows() { return kRows; }

}  // namespace lathe::io::aten
