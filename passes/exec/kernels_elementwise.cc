// Arithmetic, comparisons, logic and bits, element by element.
#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

using Unary = at::Tensor (*)(const at::Tensor&);
using Binary = at::Tensor (*)(const at::Tensor&, const at::Tensor&);

// The bits of an unsigned type that is held in a wider one; 0 for other types.
int64_t mask_of(const NodeInfo& info) {
  const ir::Value* value = info.node.input(0);
  if (!value) return 0;
  if (value->type.elem == ir::DataType::kUint16) return 0xffff;
  if (value->type.elem == ir::DataType::kUint32) return 0xffffffff;
  return 0;
}

// Makes results wrap around as those of the narrower unsigned type would.
Kernel wrapping(const NodeInfo& info, Kernel kernel) {
  const int64_t mask = mask_of(info);
  if (mask == 0) return kernel;
  return [kernel = std::move(kernel), mask](Inputs in,
                                            const RunState& state) -> Tensors {
    return {at::bitwise_and(kernel(in, state).front(), at::Scalar(mask))};
  };
}

template <Unary F>
Kernel make_unary(const NodeInfo&) {
  return
      [](Inputs in, const RunState&) -> Tensors { return {F(input(in, 0))}; };
}

template <Binary F>
Kernel make_binary(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    return {F(input(in, 0), input(in, 1))};
  };
}

template <Binary F>
Kernel make_arithmetic(const NodeInfo& info) {
  return wrapping(info, make_binary<F>(info));
}

at::Tensor sum_of(const at::Tensor& a, const at::Tensor& b) {
  return at::add(a, b);
}

at::Tensor difference_of(const at::Tensor& a, const at::Tensor& b) {
  return at::sub(a, b);
}

at::Tensor quotient_of(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_floating_point()) return at::div(a, b);
  return at::div(a, b, "trunc");
}

// All operands, folded from the left.
template <Binary F>
at::Tensor fold(Inputs in) {
  at::Tensor result = input(in, 0);
  for (size_t i = 1; i < in.size(); ++i) result = F(result, in[i]);
  return result;
}

template <Binary F>
Kernel make_variadic(const NodeInfo& info) {
  const size_t count = info.inputs();
  if (count == 0) info.invalid("there is no input");
  // Behind the node's own inputs may stand what a subgraph takes.
  return wrapping(info, [count](Inputs in, const RunState&) -> Tensors {
    return {fold<F>(in.first(count))};
  });
}

Kernel make_mean(const NodeInfo& info) {
  const size_t count = info.inputs();
  if (count == 0) info.invalid("there is no input");
  return [count](Inputs in, const RunState&) -> Tensors {
    const at::Tensor sum = fold<sum_of>(in.first(count));
    return {at::div(sum, at::Scalar(static_cast<double>(count)))};
  };
}

Kernel make_pow(const NodeInfo& info) {
  // LibTorch is faster where it knows the exponent: squares, roots.
  return [exponent = constant_number(info.node.input(1))](
             Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = input(in, 0), y = input(in, 1);
    if (exponent && x.is_floating_point() && x.dim() >= y.dim() &&
        !y.requires_grad())
      return {at::pow(x, at::Scalar(*exponent))};
    return {at::pow(x, y).to(x.scalar_type())};
  };
}

Kernel make_mod(const NodeInfo& info) {
  const bool like_c = info.node.attr_int("fmod", 0) != 0;
  const ir::Value* x = info.node.input(0);
  if (!like_c && x && ir::is_floating(x->type.elem))
    info.invalid("attribute 'fmod' is 0, but the operands are floating",
                 "set fmod to 1");
  return like_c ? make_binary<at::fmod>(info)
                : make_binary<at::remainder>(info);
}

Kernel make_is_inf(const NodeInfo& info) {
  const bool negative = info.node.attr_int("detect_negative", 1) != 0;
  const bool positive = info.node.attr_int("detect_positive", 1) != 0;
  if (negative && positive) return make_unary<at::isinf>(info);
  if (positive) return make_unary<at::isposinf>(info);
  if (negative) return make_unary<at::isneginf>(info);
  return [](Inputs in, const RunState&) -> Tensors {
    return {at::zeros_like(input(in, 0), at::kBool)};
  };
}

Kernel make_where(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    return {at::where(input(in, 0), input(in, 1), input(in, 2))};
  };
}

Kernel make_bit_shift(const NodeInfo& info) {
  const std::string direction = info.node.attr_string("direction", "");
  if (direction == "LEFT") return make_arithmetic<at::bitwise_left_shift>(info);
  if (direction == "RIGHT") return make_binary<at::bitwise_right_shift>(info);
  info.invalid("attribute 'direction' is '" + direction +
               "', expected LEFT or RIGHT");
}

Kernel make_bitwise_not(const NodeInfo& info) {
  return wrapping(info, make_unary<at::bitwise_not>(info));
}

constexpr OperatorRow kRows[] = {
    {"Abs", make_unary<at::abs>},
    {"Acos", make_unary<at::acos>},
    {"Acosh", make_unary<at::acosh>},
    {"Add", make_arithmetic<sum_of>},
    {"And", make_binary<at::logical_and>},
    {"Asin", make_unary<at::asin>},
    {"Asinh", make_unary<at::asinh>},
    {"Atan", make_unary<at::atan>},
    {"Atanh", make_unary<at::atanh>},
    {"BitShift", make_bit_shift},
    {"BitwiseAnd", make_binary<at::bitwise_and>},
    {"BitwiseNot", make_bitwise_not},
    {"BitwiseOr", make_binary<at::bitwise_or>},
    {"BitwiseXor", make_binary<at::bitwise_xor>},
    {"Ceil", make_unary<at::ceil>},
    {"Cos", make_unary<at::cos>},
    {"Cosh", make_unary<at::cosh>},
    {"Div", make_binary<quotient_of>},
    {"Equal", make_binary<at::eq>},
    {"Exp", make_unary<at::exp>},
    {"Floor", make_unary<at::floor>},
    {"Greater", make_binary<at::gt>},
    {"GreaterOrEqual", make_binary<at::ge>},
    {"IsInf", make_is_inf},
    {"IsNaN", make_unary<at::isnan>},
    {"Less", make_binary<at::lt>},
    {"LessOrEqual", make_binary<at::le>},
    {"Log", make_unary<at::log>},
    {"Max", make_variadic<at::maximum>},
    {"Mean", make_mean},
    {"Min", make_variadic<at::minimum>},
    {"Mod", make_mod},
    {"Mul", make_arithmetic<at::mul>},
    {"Neg", make_unary<at::neg>},
    {"Not", make_unary<at::logical_not>},
    {"Or", make_binary<at::logical_or>},
    {"Pow", make_pow},
    {"Reciprocal", make_unary<at::reciprocal>},
    {"Round", make_unary<at::round>},  // half to even
    {"Sin", make_unary<at::sin>},
    {"Sinh", make_unary<at::sinh>},
    {"Sqrt", make_unary<at::sqrt>},
    {"Sub", make_arithmetic<difference_of>},
    {"Sum", make_variadic<sum_of>},
    {"Tan", make_unary<at::tan>},
    {"Where", make_where},
    {"Xor", make_binary<at::logical_xor>},
};

}  // namespace

std::span<const OperatorRow> elementwise_rows() { return kRows; }

}  // namespace lathe::exec
