// Tensors of one number, and triangles.
#include "passes/io/torch/aten/aten_creation.h"

#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {

using ir::DataType;
using ir::Tensor;
using ir::Value;

namespace {

Tensor repeated(const Argument& number, std::vector<int64_t> dims,
                int64_t count, DataType type) {
  const auto n = static_cast<size_t>(count);
  if (type == DataType::kInt64 && number.kind != Argument::Kind::kFloat)
    return Tensor::from(std::move(dims),
                        std::vector<int64_t>(n, number.integer));
  const std::vector<double> elements(n, number.number());
  return Tensor::from_doubles(type, std::move(dims), elements);
}

}  // namespace

Value* size_vector(const AtenCall& call) {
  const Argument& size = call["size"];
  return size.is_list() ? call.builder().int_vector(size.items)
                        : call.builder().int_vector(size);
}

Value* filled(const AtenCall& call, Value* shape, const Argument& number,
              DataType type) {
  OnnxBuilder& builder = call.builder();
  if (!number.is_constant())
    return builder.expand(builder.as_tensor(number, type), shape);
  if (!number.is_number())
    call.unsupported("found " + describe(number) + ", expected a number");
  if (const auto dims = builder.known_ints(shape)) {
    const uint64_t count =
        ir::element_count(*dims, builder.where + ": aten::" + call.name());
    if (count <= kMaxConstantElements)
      return builder.constant(
          repeated(number, *dims, static_cast<int64_t>(count), type));
  }
  // The runtime has no kernel for bfloat16.
  const DataType kernel = type == DataType::kBfloat16 ? DataType::kFloat : type;
  return builder.cast(builder.op("ConstantOfShape", {shape},
                                 {{"value", repeated(number, {1}, 1, kernel)}}),
                      type);
}

Tensor vector_of(const std::vector<double>& elements, DataType type) {
  return Tensor::from_doubles(type, {static_cast<int64_t>(elements.size())},
                              elements);
}

DataType type_like_self(const AtenCall& call) {
  if (const auto type = call.dtype("dtype")) return *type;
  const DataType type = call.builder().elem(call.tensor("self"));
  if (type == DataType::kUndefined)
    call.unsupported("the element type of its tensor is not known");
  return type;
}

namespace {

Arguments of_size(const AtenCall& call, int64_t number) {
  return one(filled(call, size_vector(call), Argument::of_int(number),
                    call.dtype("dtype").value_or(DataType::kFloat)));
}

Arguments emit_zeros(const AtenCall& call) { return of_size(call, 0); }
Arguments emit_ones(const AtenCall& call) { return of_size(call, 1); }

DataType default_type(const Argument& number) {
  if (number.is_tensor()) return number.value->type.elem;
  return number.kind == Argument::Kind::kInt    ? DataType::kInt64
         : number.kind == Argument::Kind::kBool ? DataType::kBool
                                                : DataType::kFloat;
}

Arguments emit_full(const AtenCall& call) {
  const Argument& number = call["fill_value"];
  return one(filled(call, size_vector(call), number,
                    call.dtype("dtype").value_or(default_type(number))));
}

Arguments like_self(const AtenCall& call, const Argument& number) {
  return one(filled(call, call.builder().shape_of(call.tensor("self")), number,
                    type_like_self(call)));
}

Arguments emit_zeros_like(const AtenCall& call) {
  return like_self(call, Argument::of_int(0));
}
Arguments emit_ones_like(const AtenCall& call) {
  return like_self(call, Argument::of_int(1));
}
Arguments emit_full_like(const AtenCall& call) {
  return like_self(call, call["fill_value"]);
}
Arguments emit_fill(const AtenCall& call) {
  return like_self(call, call["value"]);
}

Arguments new_of_size(const AtenCall& call, const Argument& number) {
  return one(filled(call, size_vector(call), number, type_like_self(call)));
}

Arguments emit_new_zeros(const AtenCall& call) {
  return new_of_size(call, Argument::of_int(0));
}
Arguments emit_new_ones(const AtenCall& call) {
  return new_of_size(call, Argument::of_int(1));
}
Arguments emit_new_full(const AtenCall& call) {
  return new_of_size(call, call["fill_value"]);
}

Arguments emit_scalar_tensor(const AtenCall& call) {
  return one(call.builder().as_tensor(
      call["s"], call.dtype("dtype").value_or(DataType::kFloat)));
}

Arguments triangle(const AtenCall& call, bool upper) {
  OnnxBuilder& builder = call.builder();
  const Term x = term(call, "self");
  const Argument& diagonal = call["diagonal"];
  Value* offset =
      diagonal.is_none() || (diagonal.is_constant() && diagonal.integer == 0)
          ? nullptr
          : builder.int_scalar(diagonal);
  const Term input = x.cast(kernel_type("Trilu", x.elem()));
  return one(builder.cast(
      builder.op("Trilu", {input.value(), offset}, {{"upper", int64_t{upper}}}),
      x.elem()));
}

Arguments emit_tril(const AtenCall& call) {
  return triangle(call, /*upper=*/false);
}
Arguments emit_triu(const AtenCall& call) {
  return triangle(call, /*upper=*/true);
}

Arguments emit_complex(const AtenCall& call) {
  call.unsupported("the runtime has no complex numbers",
                   "compute with the real and the imaginary part as two "
                   "tensors");
}

constexpr AtenRow kRows[] = {
    {"zeros", emit_zeros},
    {"ones", emit_ones},
    {"full", emit_full},
    {"empty", emit_zeros},
    {"empty_strided", emit_zeros},
    {"zeros_like", emit_zeros_like},
    {"zero", emit_zeros_like},
    {"ones_like", emit_ones_like},
    {"full_like", emit_full_like},
    {"empty_like", emit_zeros_like},
    {"fill", emit_fill},
    {"new_zeros", emit_new_zeros},
    {"new_ones", emit_new_ones},
    {"new_full", emit_new_full},
    {"new_empty", emit_new_zeros},
    {"new_empty_strided", emit_new_zeros},
    {"scalar_tensor", emit_scalar_tensor},
    {"tril", emit_tril},
    {"triu", emit_triu},
    {"complex", emit_complex},
    {"polar", emit_complex},
    {"view_as_complex", emit_complex},
    {"view_as_real", emit_complex},
    {"imag", emit_complex},
};

}  // namespace

std::span<const AtenRow> creation_rows() {
  static const std::vector<AtenRow> kAll = join_rows(
      {kRows, sequence_rows(), window_rows(), copy_rows(), random_rows()});
  return kAll;
}

}  // namespace lathe::io::aten
