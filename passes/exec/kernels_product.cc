// Matrix products, and what else linear algebra gives.
#include <algorithm>
#include <cmath>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

Kernel make_matmul(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    return {at::matmul(input(in, 0), input(in, 1))};
  };
}

// A whole number as an integer: integer matrices take no other factor.
at::Scalar factor(const NodeInfo& info, const char* name) {
  const double value = info.node.attr_float(name, 1.0f);
  if (value == std::trunc(value) && std::abs(value) < 1e9)
    return at::Scalar(static_cast<int64_t>(value));
  return at::Scalar(value);
}

Kernel make_gemm(const NodeInfo& info) {
  const at::Scalar alpha = factor(info, "alpha"), beta = factor(info, "beta");
  const bool scaled = info.node.attr_float("alpha", 1.0f) != 1.0f;
  const bool trans_a = info.node.attr_int("transA", 0) != 0;
  const bool trans_b = info.node.attr_int("transB", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    at::Tensor a = input(in, 0), b = input(in, 1);
    const at::Tensor c = input(in, 2);
    if (trans_a) a = a.t();
    if (trans_b) b = b.t();
    if (c.defined()) return {at::addmm(c, a, b, beta, alpha)};
    const at::Tensor product = at::mm(a, b);
    return {scaled ? at::mul(product, alpha) : product};
  };
}

Kernel make_einsum(const NodeInfo& info) {
  std::string equation = info.node.attr_string("equation", "");
  if (equation.empty()) info.invalid("attribute 'equation' is missing");
  std::erase(equation, ' ');
  return [equation](Inputs in, const RunState&) -> Tensors {
    const Tensors operands(in.begin(), in.end());
    // A sum of integers is wider in LibTorch.
    return {at::einsum(equation, operands).to(operands.at(0).scalar_type())};
  };
}

// Products of 8-bit numbers are exact in double, whatever their count.
at::Tensor centred(const at::Tensor& x, const at::Tensor& zero, bool rows) {
  const at::Tensor wide = x.to(at::kDouble);
  if (!zero.defined()) return wide;
  at::Tensor shift = zero.to(at::kDouble);
  if (rows && shift.dim() == 1 && shift.numel() > 1)
    shift = shift.unsqueeze(1);  // one number a row
  if (shift.numel() == 1) shift = shift.reshape({});
  return at::sub(wide, shift);
}

Kernel make_matmul_integer(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    const at::Tensor a = centred(input(in, 0), input(in, 2), /*rows=*/true);
    const at::Tensor b = centred(input(in, 1), input(in, 3), /*rows=*/false);
    return {at::matmul(a, b).to(at::kLong).to(at::kInt)};
  };
}

Kernel make_det(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    return {at::linalg_det(input(in, 0))};
  };
}

constexpr OperatorRow kRows[] = {
    {"Det", make_det},
    {"Einsum", make_einsum},
    {"Gemm", make_gemm},
    {"MatMul", make_matmul},
    {"MatMulInteger", make_matmul_integer},
};

}  // namespace

std::span<const OperatorRow> product_rows() { return kRows; }

}  // namespace lathe::exec
