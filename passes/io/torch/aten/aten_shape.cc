// view, flatten, squeeze: the same elements under other sizes.
#include <string>

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::Value;

Arguments emit_view(const AtenCall& call) {
  if (call.given("dtype"))
    call.unsupported("reads the bytes of a tensor as another element type",
                     "convert the elements with to() instead");
  const bool named_shape = call.given("shape");
  return one(reshape_to(call.builder(), call.tensor("self"),
                        size_list(call, named_shape ? "shape" : "size")));
}

Arguments emit_view_as(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  return one(reshape_to(builder, call.tensor("self"),
                        sizes_of(builder, call.tensor("other"))));
}

Arguments emit_flatten(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const int64_t start = call.axis("start_dim", rank, 0);
  const int64_t end = call.axis("end_dim", rank, -1);
  if (start > end)
    call.unsupported("start_dim " + std::to_string(start) +
                     " lies behind end_dim " + std::to_string(end));
  if (rank == 0) return one(builder.reshape(self, {1}));
  if (start == end) return one(self);
  if (start == 1 && end == rank - 1)
    return one(builder.op("Flatten", {self}, {{"axis", int64_t{1}}}));
  Sizes sizes;
  Argument joined = Argument::of_int(1);
  for (int64_t i = start; i <= end; ++i) {
    const auto known = builder.known_dim(self, i);
    joined = known && !is_int(joined, -1)
                 ? compute(builder, "Mul", joined, Argument::of_int(*known))
                 : Argument::of_int(-1);
  }
  for (int64_t i = 0; i < start; ++i)
    sizes.push_back(size_of(builder, self, i));
  sizes.push_back(joined);
  for (int64_t i = end + 1; i < rank; ++i)
    sizes.push_back(size_of(builder, self, i));
  return one(reshape_to(builder, self, sizes));
}

Arguments emit_unflatten(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  const int64_t axis = call.axis("dim", rank);
  Sizes sizes;
  for (int64_t i = 0; i < rank; ++i) {
    if (i != axis) {
      sizes.push_back(size_of(builder, self, i));
      continue;
    }
    for (const Argument& size : size_list(call, "sizes")) sizes.push_back(size);
  }
  return one(reshape_to(builder, self, sizes));
}

Arguments emit_ravel(const AtenCall& call) {
  return one(
      reshape_to(call.builder(), call.tensor("self"), {Argument::of_int(-1)}));
}

Arguments emit_unsqueeze(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  return one(
      builder.unsqueeze(self, {call.axis("dim", builder.rank(self) + 1)}));
}

// An axis that is not 1 stays. One of unknown size is taken for 1 when named,
// for longer when not.
Arguments emit_squeeze(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const int64_t rank = builder.rank(self);
  if (rank == 0) return one(self);
  const bool named = call.given("dim");
  std::vector<int64_t> dropped;
  for (int64_t axis : call.axes("dim", rank, /*empty_means_all=*/!named))
    if (builder.known_dim(self, axis).value_or(named ? 1 : -1) == 1)
      dropped.push_back(axis);
  return one(builder.squeeze(self, dropped));
}

Arguments at_least(const AtenCall& call, int64_t wanted) {
  if (!call.given("tensors"))
    return one(at_least_rank(call.builder(), call.tensor("self"), wanted));
  Arguments results;
  for (Value* value : call.tensors("tensors"))
    results.push_back(
        Argument::tensor(at_least_rank(call.builder(), value, wanted)));
  return {Argument::list(std::move(results))};
}

Arguments emit_shape_as_tensor(const AtenCall& call) {
  return one(call.builder().shape_of(call.tensor("self")));
}

Arguments emit_numel(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const auto count = self->type.element_count();
  return {count ? Argument::of_int(*count)
                : Argument::computed(Argument::Kind::kInt,
                                     builder.op("Size", {self}))};
}

// Only where it is a view of the whole tensor.
Arguments emit_as_strided(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* self = call.tensor("self");
  const auto size = call.integers("size"), stride = call.integers("stride");
  int64_t elements = 1;
  bool whole =
      size.size() == stride.size() && call.integer("storage_offset", 0) == 0;
  for (size_t i = size.size(); whole && i-- > 0;) {
    whole = size[i] == 1 || stride[i] == elements;
    whole = whole && !__builtin_mul_overflow(elements, size[i], &elements);
  }
  if (!whole || self->type.element_count() != elements)
    call.unsupported("addresses memory by strides",
                     "index or reshape the tensor instead");
  return one(builder.reshape(self, size));
}

constexpr AtenRow kRows[] = {
    {"view", emit_view},
    {"view_copy", emit_view},
    {"_unsafe_view", emit_view},
    {"reshape", emit_view},
    {"_reshape_alias", emit_view},
    {"view_as", emit_view_as},
    {"reshape_as", emit_view_as},
    {"flatten", emit_flatten},
    {"unflatten", emit_unflatten},
    {"ravel", emit_ravel},
    {"unsqueeze", emit_unsqueeze},
    {"unsqueeze_copy", emit_unsqueeze},
    {"squeeze", emit_squeeze},
    {"squeeze_copy", emit_squeeze},
    {"transpose", emit_transpose},
    {"transpose_copy", emit_transpose},
    {"swapaxes", emit_transpose},
    {"swapdims", emit_transpose},
    {"t", emit_transpose_2d},
    {"t_copy", emit_transpose_2d},
    {"numpy_T", emit_reverse_axes},
    {"mT", emit_transpose_last},
    {"mH", emit_transpose_last},
    {"matrix_H", emit_transpose_last},
    {"adjoint", emit_transpose_last},
    {"permute", emit_permute},
    {"permute_copy", emit_permute},
    {"movedim", emit_movedim},
    {"moveaxis", emit_movedim},
    {"expand", emit_expand},
    {"expand_copy", emit_expand},
    {"broadcast_to", emit_expand},
    {"expand_as", emit_expand_as},
    {"repeat", emit_repeat},
    {"tile", emit_repeat},
    {"repeat_interleave", emit_repeat_interleave},
    {"atleast_1d", [](const AtenCall& call) { return at_least(call, 1); }},
    {"atleast_2d", [](const AtenCall& call) { return at_least(call, 2); }},
    {"atleast_3d", [](const AtenCall& call) { return at_least(call, 3); }},
    {"_shape_as_tensor", emit_shape_as_tensor},
    {"numel", emit_numel},
    {"as_strided", emit_as_strided},
    {"unfold", emit_unfold},
    {"im2col", emit_im2col},
    {"col2im", emit_col2im},
};

}  // namespace

std::span<const AtenRow> shape_rows() { return kRows; }

}  // namespace lathe::io::aten
