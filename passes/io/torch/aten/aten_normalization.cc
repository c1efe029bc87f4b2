// Normalization by statistics: stored ones, or those of the input itself.
#include <cmath>
#include <limits>

#include "passes/io/torch/aten/aten_composites.h"
#include "passes/io/torch/aten/aten_families.h"

namespace lathe::io::aten {

using ir::DataType;
using ir::Value;
using Sizes = std::vector<int64_t>;

namespace {

struct Standardized {
  Value *centered, *mean, *inverse_deviation;
};

// Mean and (biased) variance over `axes`, which stay with size 1.
Standardized statistics(OnnxBuilder& builder, Value* x, const Sizes& axes,
                        double eps) {
  const DataType type = builder.elem(x);
  Standardized s{};
  s.mean = builder.reduce("ReduceMean", x, axes, /*keep_dims=*/true);
  s.centered = builder.op("Sub", {x, s.mean});
  Value* variance = builder.reduce(
      "ReduceMean", builder.op("Mul", {s.centered, s.centered}), axes,
      /*keep_dims=*/true);
  s.inverse_deviation = builder.op(
      "Reciprocal",
      {builder.op("Sqrt",
                  {builder.op("Add", {variance, builder.scalar(type, eps)})})});
  return s;
}

// A vector over the channels, made to line up with axis 1 of `rank` axes.
Value* along_channels(OnnxBuilder& builder, Value* vector, int64_t rank) {
  Sizes axes;
  for (int64_t axis = 2; axis < rank; ++axis) axes.push_back(axis - 1);
  return builder.unsqueeze(vector, axes);
}

// y·weight + bias over the channels; either may be null.
Value* affine(OnnxBuilder& builder, Value* y, Value* weight, Value* bias,
              int64_t rank) {
  const DataType type = builder.elem(y);
  if (weight)
    y = builder.op(
        "Mul", {y, along_channels(builder, builder.cast(weight, type), rank)});
  if (bias)
    y = builder.op(
        "Add", {y, along_channels(builder, builder.cast(bias, type), rank)});
  return y;
}

// --- stored statistics ---

Value* batch_norm_stored(const AtenCall& call, const char* eps_name) {
  OnnxBuilder& builder = call.builder();
  Value* x = call.tensor("input");
  Value* mean = call.tensor("running_mean");
  Value* variance = call.tensor("running_var");
  Value* weight = call.tensor_or_null("weight");
  Value* bias = call.tensor_or_null("bias");
  const DataType type = builder.elem(x), inner = builder.elem(mean);
  const std::vector<Argument> channels{builder.size(mean, 0)};
  auto vector = [&](Value* given, double otherwise) {
    return given ? builder.cast(given, inner)
                 : filled(builder, inner, channels, otherwise);
  };
  const auto eps = static_cast<float>(call.real(eps_name, 1e-5));
  return builder.cast(
      builder.op("BatchNormalization",
                 {builder.cast(x, inner), vector(weight, 1), vector(bias, 0),
                  mean, builder.cast(variance, inner)},
                 {{"epsilon", eps}}),
      type);
}

Value* batch_norm_of_batch(const AtenCall& call, const char* eps_name) {
  OnnxBuilder& builder = call.builder();
  Value* x = call.tensor("input");
  const int64_t rank = builder.rank(x);
  Sizes axes{0};
  for (int64_t axis = 2; axis < rank; ++axis) axes.push_back(axis);
  const Standardized s =
      statistics(builder, x, axes, call.real(eps_name, 1e-5));
  return affine(builder, builder.op("Mul", {s.centered, s.inverse_deviation}),
                call.tensor_or_null("weight"), call.tensor_or_null("bias"),
                rank);
}

// A model that tracks no statistics takes the batch's, evaluating too.
Value* batch_norm(const AtenCall& call, const char* eps_name) {
  const bool stored = call.given("running_mean");
  if (!call.flag("training", false)) return batch_norm_stored(call, eps_name);
  if (stored)
    call.unsupported("the batch normalization is in training mode", kEvalHint);
  return batch_norm_of_batch(call, eps_name);
}

template <size_t kResults>
Arguments emit_batch_norm(const AtenCall& call) {
  const char* eps_name = call.given("epsilon") ? "epsilon" : "eps";
  Arguments results = one(batch_norm(call, eps_name));
  results.resize(kResults);
  return results;
}

// Beside what cudnn keeps: the number of the implementation chosen.
Arguments emit_batch_norm_impl_index(const AtenCall& call) {
  Arguments results = emit_batch_norm<5>(call);
  results.back() = Argument::of_int(0);
  return results;
}

// --- statistics of each sample ---

// The runtime's kernel knows float alone.
Value* instance_normalization(OnnxBuilder& builder, Value* x, Value* scale,
                              Value* bias, double eps) {
  const DataType type = builder.elem(x);
  const DataType inner = type == DataType::kDouble ? DataType::kFloat : type;
  return builder.cast(
      builder.op("InstanceNormalization",
                 {builder.cast(x, inner), builder.cast(scale, inner),
                  builder.cast(bias, inner)},
                 {{"epsilon", static_cast<float>(eps)}}),
      type);
}

Arguments emit_instance_norm(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  if (!call.flag("use_input_stats", true))
    return one(batch_norm_stored(call, "eps"));
  if (call.given("running_mean"))
    call.unsupported("the instance normalization is in training mode",
                     kEvalHint);
  Value* x = call.tensor("input");
  Value* weight = call.tensor_or_null("weight");
  Value* bias = call.tensor_or_null("bias");
  const std::vector<Argument> channels{weight && builder.known_dim(weight, 0)
                                           ? builder.size(weight, 0)
                                           : builder.size(x, 1)};
  const DataType type = builder.elem(x);
  return one(instance_normalization(
      builder, x, weight ? weight : filled(builder, type, channels, 1),
      bias ? bias : filled(builder, type, channels, 0),
      call.real("eps", 1e-5)));
}

// [N, groups, the rest of a sample's elements]
Value* grouped(OnnxBuilder& builder, Value* x, int64_t groups) {
  if (builder.known_rank(x) == 3 && builder.known_dim(x, 1) == groups) return x;
  return builder.op("Reshape", {x, builder.ints({0, groups, -1})});
}

Value* group_norm(const AtenCall& call, int64_t groups) {
  OnnxBuilder& builder = call.builder();
  if (groups < 1)
    call.unsupported("the number of groups is " + std::to_string(groups) +
                     ", expected at least 1");
  Value* x = call.tensor("input");
  Value* weight = call.tensor_or_null("weight");
  Value* bias = call.tensor_or_null("bias");
  const int64_t rank = builder.rank(x);
  const DataType type = builder.elem(x);
  const double eps = call.real("eps", 1e-5);
  const std::vector<Argument> sizes{Argument::of_int(groups)};
  Value* ones = filled(builder, type, sizes, 1);
  Value* zeros = filled(builder, type, sizes, 0);
  if (rank >= 3 && builder.known_dim(x, 1) == groups)
    return instance_normalization(builder, x, weight ? weight : ones,
                                  bias ? bias : zeros, eps);
  Value* normal = instance_normalization(builder, grouped(builder, x, groups),
                                         ones, zeros, eps);
  return affine(builder, builder.reshape(normal, builder.shape_of(x)), weight,
                bias, rank);
}

Arguments emit_group_norm(const AtenCall& call) {
  return one(group_norm(call, call.integer("num_groups")));
}

Arguments emit_native_group_norm(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const int64_t groups = call.integer("group");
  Value* result = group_norm(call, groups);
  const Standardized s =
      statistics(builder, grouped(builder, call.tensor("input"), groups), {2},
                 call.real("eps", 1e-5));
  return {Argument::tensor(result),
          Argument::tensor(builder.squeeze(s.mean, {2})),
          Argument::tensor(builder.squeeze(s.inverse_deviation, {2}))};
}

// The sizes of the normalized axes: the last ones.
std::vector<Argument> normalized_shape(const AtenCall& call) {
  const Argument& shape = call["normalized_shape"];
  if (shape.is_list() && !shape.items.empty()) return shape.items;
  return {Argument::of_int(call.integer("normalized_shape"))};
}

Value* layer_norm(const AtenCall& call) {
  return layer_norm(call.builder(), call.tensor("input"),
                    normalized_shape(call), call.tensor_or_null("weight"),
                    call.tensor_or_null("bias"), call.real("eps", 1e-5));
}

Sizes last_axes(size_t count) {
  Sizes axes;
  for (size_t i = count; i > 0; --i) axes.push_back(-static_cast<int64_t>(i));
  return axes;
}

Arguments emit_layer_norm(const AtenCall& call) {
  return one(layer_norm(call));
}

Arguments emit_native_layer_norm(const AtenCall& call) {
  const Sizes axes = last_axes(normalized_shape(call).size());
  Value* result = layer_norm(call);
  const Standardized s = statistics(call.builder(), call.tensor("input"), axes,
                                    call.real("eps", 1e-5));
  return {Argument::tensor(result), Argument::tensor(s.mean),
          Argument::tensor(s.inverse_deviation)};
}

bool is_half(DataType type) {
  return type == DataType::kFloat16 || type == DataType::kBfloat16;
}

// What PyTorch adds where eps is None: the type's own.
double epsilon_of(DataType type) {
  switch (type) {
    case DataType::kFloat16:
      return std::ldexp(1.0, -10);
    case DataType::kBfloat16:
      return std::ldexp(1.0, -7);
    case DataType::kDouble:
      return std::numeric_limits<double>::epsilon();
    default:
      return std::numeric_limits<float>::epsilon();
  }
}

// x / sqrt(mean(x²) + eps), halves in float; then the reciprocal root.
template <size_t kResults>
Arguments emit_rms_norm(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* x = call.tensor("input");
  const DataType type = builder.elem(x);
  const DataType inner = is_half(type) ? DataType::kFloat : type;
  Value* wide = builder.cast(x, inner);
  Value* mean = builder.reduce("ReduceMean", builder.op("Mul", {wide, wide}),
                               last_axes(normalized_shape(call).size()),
                               /*keep_dims=*/true);
  Value* eps = builder.scalar(inner, call.real("eps", epsilon_of(type)));
  Value* root = builder.op("Sqrt", {builder.op("Add", {mean, eps})});
  Value* result = builder.op("Div", {wide, root});
  if (Value* weight = call.tensor_or_null("weight"))
    result = builder.op("Mul", {result, builder.cast(weight, inner)});
  Arguments results = one(builder.cast(result, type));
  if (kResults == 2)
    results.push_back(Argument::tensor(builder.op("Reciprocal", {root})));
  return results;
}

constexpr AtenRow kRows[] = {
    {"batch_norm", emit_batch_norm<1>},
    {"native_batch_norm", emit_batch_norm<3>},
    {"cudnn_batch_norm", emit_batch_norm<4>},
    {"miopen_batch_norm", emit_batch_norm<3>},
    {"_native_batch_norm_legit_no_training", emit_batch_norm<3>},
    {"_batch_norm_no_update", emit_batch_norm<4>},
    {"_batch_norm_impl_index", emit_batch_norm_impl_index},
    {"_native_batch_norm_legit", emit_batch_norm<3>},
    {"instance_norm", emit_instance_norm},
    {"group_norm", emit_group_norm},
    {"native_group_norm", emit_native_group_norm},
    {"layer_norm", emit_layer_norm},
    {"native_layer_norm", emit_native_layer_norm},
    {"rms_norm", emit_rms_norm<1>},
    {"_fused_rms_norm", emit_rms_norm<2>},
};

}  // namespace

std::span<const AtenRow> normalization_rows() { return kRows; }

}  // namespace lathe::io::aten
