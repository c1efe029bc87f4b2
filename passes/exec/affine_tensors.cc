// Codes, scales and zero points.
#include "passes/exec/affine_tensors.h"

#include <vector>

namespace lathe::exec {

CodeType code_type(const NodeInfo& info, ir::DataType type) {
  using ir::DataType;
  switch (type) {
    case DataType::kUint4:
      return {0, 15, scalar_type(type)};
    case DataType::kInt4:
      return {-8, 7, scalar_type(type)};
    case DataType::kUint8:
      return {0, 255, scalar_type(type)};
    case DataType::kInt8:
      return {-128, 127, scalar_type(type)};
    case DataType::kUint16:
      return {0, 65535, scalar_type(type)};
    case DataType::kInt16:
      return {-32768, 32767, scalar_type(type)};
    case DataType::kInt32:
      return {-2147483648.0, 2147483647.0, scalar_type(type)};
    case DataType::kUndefined:
      info.unsupported("the type of its quantized values is not known",
                       "give its zero point");
    default:
      info.unsupported(std::string("quantized values of type ") +
                       ir::to_string(type));
  }
}

ir::DataType input_type(const NodeInfo& info, size_t index) {
  const ir::Value* value = info.node.input(index);
  return value ? value->type.elem : ir::DataType::kUndefined;
}

CodeType code_type_of(const NodeInfo& info, std::initializer_list<size_t> in) {
  for (size_t index : in)
    if (input_type(info, index) != ir::DataType::kUndefined)
      return code_type(info, input_type(info, index));
  const ir::Value* output = info.node.output(0);
  return code_type(info, output ? output->type.elem : ir::DataType::kUndefined);
}

at::Tensor scalar_or_same(const at::Tensor& parameter) {
  if (!parameter.defined() || parameter.dim() == 0 || parameter.numel() != 1)
    return parameter;
  return parameter.reshape({});
}

at::Tensor spread(const at::Tensor& parameter, const at::Tensor& x,
                  int64_t axis, int64_t block_size) {
  if (!parameter.defined()) return parameter;
  if (block_size > 0) {
    TORCH_CHECK(parameter.dim() == x.dim(), "a blocked scale has rank ",
                parameter.dim(), ", but the tensor has rank ", x.dim());
    axis = at::maybe_wrap_dim(axis, x.dim());
    TORCH_CHECK(parameter.size(axis) * block_size >= x.size(axis),
                parameter.size(axis), " blocks of ", block_size,
                " do not cover ", x.size(axis), " elements");
    return parameter.repeat_interleave(block_size, axis)
        .narrow(axis, 0, x.size(axis));
  }
  if (parameter.numel() == 1) return parameter.reshape({});
  TORCH_CHECK(parameter.dim() == 1, "a scale has rank ", parameter.dim());
  axis = at::maybe_wrap_dim(axis, x.dim());
  TORCH_CHECK(parameter.size(0) == x.size(axis), "there are ",
              parameter.size(0), " scales for ", x.size(axis), " slices");
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(axis)] = parameter.size(0);
  return parameter.reshape(shape);
}

at::Tensor as_real(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

at::Tensor centered(const at::Tensor& codes, const at::Tensor& zero_point,
                    at::ScalarType type) {
  if (!zero_point.defined()) return codes.to(type);
  // Codes of 32 bits are no floats.
  if (codes.scalar_type() == at::kInt && type != at::kDouble)
    return (codes - zero_point).to(type);
  return codes.to(type) - zero_point.to(type);
}

at::Tensor real_values(const at::Tensor& codes, const at::Tensor& scale,
                       const at::Tensor& zero_point) {
  return centered(codes, zero_point, at::kDouble) * scale.to(at::kDouble);
}

at::Tensor to_codes(const at::Tensor& scaled, const at::Tensor& zero_point,
                    const CodeType& type) {
  at::Tensor codes = at::round(scaled);
  if (zero_point.defined()) codes = codes + zero_point.to(codes.scalar_type());
  return codes.clamp(type.low, type.high).to(type.scalar);
}

at::Tensor quantized(const at::Tensor& values, const at::Tensor& scale,
                     const at::Tensor& zero_point, const CodeType& type) {
  return to_codes(values / scale.to(values.scalar_type()), zero_point, type);
}

DynamicScale dynamic_scale(const at::Tensor& x) {
  at::NoGradGuard no_grad;
  at::Tensor low = at::zeros({}, x.options()), high = low;
  if (x.numel() > 0) {
    low = at::minimum(x.min(), low);
    high = at::maximum(x.max(), high);
  }
  at::Tensor scale = (high - low) / 255.0;
  scale = at::where(high == low, at::ones_like(scale), scale);
  return {scale, at::round((-low / scale).clamp(0, 255))};
}

Kernel kernel_among(std::span<const OperatorRow> rows, std::string_view op_type,
                    const NodeInfo& info) {
  for (const OperatorRow& row : rows)
    if (row.op_type == op_type && row.domain.empty()) return row.make(info);
  info.unsupported("there is no kernel for " + std::string(op_type));
}

at::Tensor channels_to_front(const at::Tensor& x, bool channels_last) {
  return channels_last ? x.movedim(-1, 1) : x;
}

at::Tensor channels_to_back(const at::Tensor& x, bool channels_last) {
  return channels_last ? x.movedim(1, -1).contiguous() : x;
}

}  // namespace lathe::exec
