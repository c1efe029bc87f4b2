// Random tensors. Their numbers differ from PyTorch's, their distributions do
// not.
#include "passes/io/torch/aten/aten_creation.h"
#include "passes/io/torch/aten/aten_term.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// "RandomUniform" or "RandomNormal" and its two parameters.
struct Distribution {
  std::string op;
  const char* names[2];
  double values[2];
};

Distribution uniform(double low, double high) {
  return {"RandomUniform", {"low", "high"}, {low, high}};
}

Distribution normal(double mean, double scale) {
  return {"RandomNormal", {"mean", "scale"}, {mean, scale}};
}

NamedAttributes parameters(const AtenCall& call,
                           const Distribution& distribution, DataType type) {
  if (!ir::is_floating(type))
    call.unsupported(std::string("it draws numbers of type ") +
                         ir::to_string(type) + ", expected a floating type",
                     "draw float numbers and convert them");
  NamedAttributes attributes{{"dtype", static_cast<int64_t>(type)}};
  for (size_t i = 0; i < 2; ++i)
    attributes.emplace_back(distribution.names[i],
                            static_cast<float>(distribution.values[i]));
  return attributes;
}

// The runtime ends the process when its generators' bounds are crossed.
Distribution uniform_between(const AtenCall& call, const char* low,
                             const char* high, double default_high) {
  const double from = call.real(low, 0), to = call.real(high, default_high);
  if (!(from <= to))
    call.unsupported("argument '" + std::string(low) + "' is " +
                     std::to_string(from) + ", above '" + high +
                     "', which is " + std::to_string(to));
  return uniform(from, to);
}

// In the shape that the `size` argument gives.
Term draw(const AtenCall& call, const Distribution& distribution,
          DataType type) {
  OnnxBuilder& builder = call.builder();
  NamedAttributes attributes = parameters(call, distribution, type);
  Value* shape = size_vector(call);
  if (const auto dims = builder.known_ints(shape)) {
    attributes.emplace_back("shape", *dims);
    return {builder, builder.op(distribution.op, {}, attributes)};
  }
  Value* zeros = builder.op("ConstantOfShape", {shape});
  return {builder, builder.op(distribution.op + "Like", {zeros}, attributes)};
}

Term draw_like(const AtenCall& call, Value* shape_of,
               const Distribution& distribution, DataType type) {
  OnnxBuilder& builder = call.builder();
  return {builder, builder.op(distribution.op + "Like", {shape_of},
                              parameters(call, distribution, type))};
}

DataType type_or_float(const AtenCall& call) {
  return call.dtype("dtype").value_or(DataType::kFloat);
}

Arguments emit_rand(const AtenCall& call) {
  return one(draw(call, uniform(0, 1), type_or_float(call)));
}

Arguments emit_randn(const AtenCall& call) {
  return one(draw(call, normal(0, 1), type_or_float(call)));
}

Arguments emit_rand_like(const AtenCall& call) {
  return one(draw_like(call, call.tensor("self"), uniform(0, 1),
                       type_like_self(call)));
}

Arguments emit_randn_like(const AtenCall& call) {
  return one(
      draw_like(call, call.tensor("self"), normal(0, 1), type_like_self(call)));
}

Arguments emit_uniform(const AtenCall& call) {
  return one(draw_like(call, call.tensor("self"),
                       uniform_between(call, "from", "to", 1),
                       type_like_self(call)));
}

Arguments normal_of_numbers(const AtenCall& call) {
  const double mean = call.real("mean", 0), std = call.real("std", 1);
  const bool like_self = call.given("self");
  const DataType type = like_self ? type_like_self(call) : type_or_float(call);
  if (std == 0)
    return one(filled(call,
                      like_self ? call.builder().shape_of(call.tensor("self"))
                                : size_vector(call),
                      Argument::of_float(mean), type));
  if (!(std > 0))
    call.unsupported("argument 'std' is " + std::to_string(std) +
                     ", expected 0 or more");
  const Distribution wanted = normal(mean, std);
  return one(like_self ? draw_like(call, call.tensor("self"), wanted, type)
                       : draw(call, wanted, type));
}

// `mean` and `std` are numbers or tensors; the shape is that of `self`, of
// `size`, or of the tensors.
Arguments emit_normal(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Argument &mean = call["mean"], &std = call["std"];
  if (!mean.is_tensor() && !std.is_tensor()) return normal_of_numbers(call);
  const DataType type = builder.result_type({&mean, &std});
  const Term center(builder, builder.as_tensor(mean, type));
  const Term scale(builder, std.is_none() ? builder.scalar(type, 1)
                                          : builder.as_tensor(std, type));
  // Where both are tensors, their sum has the shape they are broadcast to.
  Value* shape = !std.is_tensor()    ? center.value()
                 : !mean.is_tensor() ? scale.value()
                                     : (center + scale).value();
  const Term drawn = draw_like(call, shape, normal(0, 1), type);
  return one(drawn * scale + center);
}

Term whole(const Term& drawn, DataType type) {
  return apply("Floor", {drawn}).cast(type);
}

Arguments emit_randint(const AtenCall& call) {
  return one(whole(
      draw(call, uniform_between(call, "low", "high", 0), DataType::kFloat),
      call.dtype("dtype").value_or(DataType::kInt64)));
}

Arguments emit_randint_like(const AtenCall& call) {
  return one(whole(
      draw_like(call, call.tensor("self"),
                uniform_between(call, "low", "high", 0), DataType::kFloat),
      type_like_self(call)));
}

// The probabilities are `p`, for each element of `self`, or `self`. ONNX's own
// Bernoulli is left alone: the runtime expands it to one with 1 - p.
Arguments emit_bernoulli(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* x = call.tensor("self");
  const Argument& p = call["p"];
  if (p.is_number() && !(call.real("p") >= 0 && call.real("p") <= 1))
    call.unsupported("argument 'p' is " + std::to_string(call.real("p")) +
                     ", expected 0 to 1");
  const Term probability(
      builder,
      builder.as_tensor(p.is_none() ? call["self"] : p, DataType::kFloat));
  const Term drawn = draw_like(call, x, uniform(0, 1), DataType::kFloat);
  return one((drawn < probability).cast(builder.elem(x)));
}

constexpr AtenRow kRows[] = {
    {"rand", emit_rand},
    {"randn", emit_randn},
    {"rand_like", emit_rand_like},
    {"randn_like", emit_randn_like},
    {"uniform", emit_uniform},
    {"normal", emit_normal},
    {"normal_functional", emit_normal},
    {"randint", emit_randint},
    {"randint_like", emit_randint_like},
    {"bernoulli", emit_bernoulli},
};

}  // namespace

std::span<const AtenRow> random_rows() { return kRows; }

}  // namespace lathe::io::aten
