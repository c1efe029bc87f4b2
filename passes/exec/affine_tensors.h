// What the kernels of quantized and of fused operators share: codes, scales,
// zero points. Internal to the executor.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {

// The codes of a quantized type.
struct CodeType {
  double low = 0, high = 255;
  at::ScalarType scalar = at::kByte;
};

// Error kUnsupported for what is no integer of up to 32 bits.
CodeType code_type(const NodeInfo& info, ir::DataType type);
// The element type of that input; kUndefined when absent.
ir::DataType input_type(const NodeInfo& info, size_t index);
// The type of the first of those inputs that is there.
CodeType code_type_of(const NodeInfo& info, std::initializer_list<size_t> in);

// A scale or zero point so that it broadcasts over x: a single number as a
// scalar, a vector along `axis`, a blocked one repeated along it. Undefined
// stays.
at::Tensor spread(const at::Tensor& parameter, const at::Tensor& x,
                  int64_t axis, int64_t block_size = 0);
// A single number as a scalar, another tensor as it is.
at::Tensor scalar_or_same(const at::Tensor& parameter);

// double and float as they are, any other type as float.
at::Tensor as_real(const at::Tensor& x);
// codes - zero_point as numbers of that type; zero_point may be undefined.
at::Tensor centered(const at::Tensor& codes, const at::Tensor& zero_point,
                    at::ScalarType type);
// What the codes stand for, in double.
at::Tensor real_values(const at::Tensor& codes, const at::Tensor& scale,
                       const at::Tensor& zero_point);
// round(scaled) + zero_point, saturated; ties to even.
at::Tensor to_codes(const at::Tensor& scaled, const at::Tensor& zero_point,
                    const CodeType& type);
// The same of values in units of `scale`.
at::Tensor quantized(const at::Tensor& values, const at::Tensor& scale,
                     const at::Tensor& zero_point, const CodeType& type);

// DynamicQuantizeLinear's scale and zero point (as a float) of x.
struct DynamicScale {
  at::Tensor scale, zero_point;
};
DynamicScale dynamic_scale(const at::Tensor& x);

// The kernel of another operator with that name, made of this node's
// attributes.
Kernel kernel_among(std::span<const OperatorRow> rows, std::string_view op_type,
                    const NodeInfo& info);

// A tensor's last axis as its second, and back.
at::Tensor channels_to_front(const at::Tensor& x, bool channels_last);
at::Tensor channels_to_back(const at::Tensor& x, bool channels_last);

// Operators on quantized tensors (QLinearConv, QGemm, …), for contrib_rows().
std::span<const OperatorRow> qlinear_rows();

}  // namespace lathe::exec
