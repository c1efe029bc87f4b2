// Unary and broadcasting operators. A flop count per element is given where it
// is not 1: an elementary function (exp, tanh, erf, …) counts 1.
#include <algorithm>
#include <cmath>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_follow.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

std::vector<size_t> all_inputs(const InferContext& ctx) {
  std::vector<size_t> list(ctx.input_count());
  for (size_t i = 0; i < list.size(); ++i) list[i] = i;
  return list;
}

void follow_all(InferContext& ctx, Element (*f)(const std::string& op,
                                                const std::vector<Element>&)) {
  // Where nothing at all is known of any operand, nothing follows.
  bool any = false;
  std::vector<FollowedValue> values;
  for (size_t i = 0; i < ctx.input_count(); ++i) {
    any = any || ctx.data(i);
    auto value = ctx.data_or_unknown(i);
    if (!value) return;
    values.push_back(std::move(*value));
  }
  if (!any) return;
  std::vector<const FollowedValue*> pointers;
  for (const FollowedValue& value : values) pointers.push_back(&value);
  auto result =
      follow_broadcast(pointers, [&](const std::vector<Element>& operands) {
        return f(ctx.node().op_type, operands);
      });
  if (result) ctx.set_data(0, std::move(*result));
}

void infer_unary(InferContext& ctx) {
  infer_same(ctx);
  follow_all(ctx, follow_unary);
}

void infer_not(InferContext& ctx) {
  infer_bool_like(ctx);
  follow_all(ctx, follow_unary);
}

void infer_arithmetic(InferContext& ctx) {
  ctx.set(0, ctx.elem(0), broadcast_inputs(ctx, all_inputs(ctx)));
  follow_all(ctx, follow_arithmetic);
}

void infer_comparison(InferContext& ctx) {
  ctx.set(0, DataType::kBool, broadcast_inputs(ctx, all_inputs(ctx)));
  follow_all(ctx, follow_comparison);
}

void infer_where(InferContext& ctx) {
  ctx.set(0, ctx.elem(1), broadcast_inputs(ctx, {0, 1, 2}));
  follow_all(ctx, follow_where);
}

// The slope broadcasts to the input, not the other way round.
void infer_prelu(InferContext& ctx) {
  infer_same(ctx);
  if (ctx.shape(0) && ctx.shape(1) &&
      ctx.shape(1)->size() <= ctx.shape(0)->size())
    broadcast(ctx, *ctx.shape(0), *ctx.shape(1));
}

void infer_dropout(InferContext& ctx) {
  infer_same(ctx);
  ctx.set(1, ctx.opset() >= 10 ? DataType::kBool : ctx.elem(0),
          ctx.shape_copy(0));
}

void infer_identity(InferContext& ctx) {
  ctx.set_like(0, 0);
  if (const FollowedValue* data = ctx.data(0))
    ctx.set_data(0, FollowedValue(*data));
}

void infer_cast(InferContext& ctx) {
  if (!ctx.node().has_attribute("to")) ctx.fail("attribute 'to' is missing");
  DataType to = elem_attribute(ctx, "to", DataType::kUndefined);
  ctx.set(0, to, ctx.shape_copy(0));
  if (const FollowedValue* data = ctx.data(0))
    ctx.set_data(0, follow_cast(*data, to));
}

void infer_cast_like(InferContext& ctx) {
  ctx.set(0, ctx.elem(1), ctx.shape_copy(0));
  if (const FollowedValue* data = ctx.data(0))
    if (ctx.elem(1) != DataType::kUndefined)
      ctx.set_data(0, follow_cast(*data, ctx.elem(1)));
}

// Sum, Mean, Max, Min take n operands: n - 1 operations an element.
Cost variadic_cost(const Node& node) {
  Cost cost;
  int64_t operations =
      std::max<int64_t>(static_cast<int64_t>(node.inputs().size()) - 1, 1);
  cost.flops = times(elements(node.output(0)), operations);
  return cost;
}

constexpr Operator unary(const char* name, Cost (*cost)(const Node&),
                         void (*infer)(InferContext&) = infer_same) {
  return {name, "", OpClass::kElementwise, 1, 1, 1, 1, infer, cost};
}

constexpr Operator binary(const char* name, void (*infer)(InferContext&),
                          Cost (*cost)(const Node&) = cost_per_output<1>) {
  return {name, "", OpClass::kElementwise, 2, 2, 1, 1, infer, cost};
}

constexpr Operator variadic(const char* name) {
  return {
      name,         "", OpClass::kElementwise, 1, -1, 1, 1, infer_arithmetic,
      variadic_cost};
}

constexpr auto k1 = cost_per_output<1>;

constexpr Operator kRows[] = {
    unary("Abs", k1, infer_unary),
    unary("Acos", k1),
    unary("Acosh", k1),
    unary("Asin", k1),
    unary("Asinh", k1),
    unary("Atan", k1),
    unary("Atanh", k1),
    unary("BitwiseNot", k1),
    unary("Ceil", k1, infer_unary),
    unary("Celu", cost_per_output<6>),
    unary("Cos", k1),
    unary("Cosh", k1),
    unary("Elu", cost_per_output<4>),
    unary("Erf", k1),
    unary("Exp", k1),
    unary("Floor", k1, infer_unary),
    unary("Gelu", cost_per_output<5>),
    unary("HardSigmoid", cost_per_output<4>),
    unary("HardSwish", cost_per_output<5>),
    unary("IsInf", k1, infer_bool_like),
    unary("IsNaN", k1, infer_bool_like),
    unary("LeakyRelu", cost_per_output<2>),
    unary("Log", k1),
    unary("Mish", cost_per_output<4>),
    unary("Neg", k1, infer_unary),
    unary("Not", k1, infer_not),
    unary("Reciprocal", k1),
    unary("Relu", k1),
    unary("Round", k1, infer_unary),
    unary("Selu", cost_per_output<5>),
    unary("Shrink", cost_per_output<3>),
    unary("Sigmoid", cost_per_output<4>),
    unary("Sign", k1, infer_unary),
    unary("Sin", k1),
    unary("Sinh", k1),
    unary("Softplus", cost_per_output<3>),
    unary("Softsign", cost_per_output<3>),
    unary("Sqrt", k1, infer_unary),
    unary("Swish", cost_per_output<5>),
    unary("Tan", k1),
    unary("Tanh", k1),
    unary("ThresholdedRelu", k1),
    binary("Add", infer_arithmetic),
    binary("And", infer_comparison),
    binary("BitShift", infer_arithmetic),
    binary("BitwiseAnd", infer_arithmetic),
    binary("BitwiseOr", infer_arithmetic),
    binary("BitwiseXor", infer_arithmetic),
    binary("Div", infer_arithmetic),
    binary("Equal", infer_comparison),
    binary("Greater", infer_comparison),
    binary("GreaterOrEqual", infer_comparison),
    binary("Less", infer_comparison),
    binary("LessOrEqual", infer_comparison),
    binary("Mod", infer_arithmetic),
    binary("Mul", infer_arithmetic),
    binary("Or", infer_comparison),
    binary("PRelu", infer_prelu, cost_per_output<2>),
    binary("Pow", infer_arithmetic),
    binary("Sub", infer_arithmetic),
    binary("Xor", infer_comparison),
    variadic("Max"),
    variadic("Mean"),
    variadic("Min"),
    variadic("Sum"),
    {"Clip", "", OpClass::kElementwise, 1, 3, 1, 1, infer_same,
     cost_per_output<2>},
    {"Where", "", OpClass::kElementwise, 3, 3, 1, 1, infer_where, nullptr},
    {"Dropout", "", OpClass::kElementwise, 1, 3, 1, 2, infer_dropout, nullptr},
    {"Identity", "", OpClass::kDataMovement, 1, 1, 1, 1, infer_identity,
     nullptr, true, &kElementwiseAxes},
    {"Cast", "", OpClass::kElementwise, 1, 1, 1, 1, infer_cast, k1},
    {"CastLike", "", OpClass::kElementwise, 2, 2, 1, 1, infer_cast_like, k1},
};

}  // namespace

std::span<const Operator> elementwise_operators() { return kRows; }

}  // namespace lathe::ir
