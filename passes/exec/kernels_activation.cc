// Activations.
#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

template <at::Tensor (*function)(const at::Tensor&)>
Kernel make_unary(const NodeInfo&) {
  return
      [](Inputs in, const RunState&) -> Tensors { return {function(in[0])}; };
}

double attribute(const NodeInfo& info, const char* name, float fallback) {
  return info.node.attr_float(name, fallback);
}

Kernel make_leaky_relu(const NodeInfo& info) {
  return [alpha = attribute(info, "alpha", 0.01f)](Inputs in,
                                                   const RunState&) -> Tensors {
    return {at::leaky_relu(in[0], alpha)};
  };
}

// One slope for all or one a channel, as [C, 1, ...].
bool is_per_channel(const at::Tensor& x, const at::Tensor& slope) {
  if (slope.numel() == 1) return slope.dim() <= x.dim();
  return x.dim() >= 2 && slope.dim() == x.dim() - 1 &&
         slope.size(0) == x.size(1) && slope.numel() == x.size(1);
}

Kernel make_prelu(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &slope = in[1];
    if (x.is_floating_point() && is_per_channel(x, slope))
      return {at::prelu(x, slope.reshape({-1}))};
    return {at::where(x < 0, x * slope, x)};
  };
}

Kernel make_elu(const NodeInfo& info) {
  return [alpha = attribute(info, "alpha", 1)](Inputs in,
                                               const RunState&) -> Tensors {
    return {at::elu(in[0], alpha)};
  };
}

Kernel make_selu(const NodeInfo& info) {
  return [alpha = attribute(info, "alpha", 1.67326319217681884765625f),
          gamma = attribute(info, "gamma", 1.05070102214813232421875f)](
             Inputs in, const RunState&) -> Tensors {
    return {at::elu(in[0], alpha, gamma)};
  };
}

Kernel make_celu(const NodeInfo& info) {
  return [alpha = attribute(info, "alpha", 1)](Inputs in,
                                               const RunState&) -> Tensors {
    return {at::celu(in[0], alpha)};
  };
}

Kernel make_thresholded_relu(const NodeInfo& info) {
  return [alpha = attribute(info, "alpha", 1)](Inputs in,
                                               const RunState&) -> Tensors {
    return {at::threshold(in[0], alpha, 0)};
  };
}

Kernel make_hard_sigmoid(const NodeInfo& info) {
  return [alpha = attribute(info, "alpha", 0.2f),
          beta = attribute(info, "beta", 0.5f)](Inputs in,
                                                const RunState&) -> Tensors {
    return {at::clamp(in[0] * alpha + beta, 0, 1)};
  };
}

at::Tensor softplus(const at::Tensor& x) {
  // Linear from where log(1 + exp(x)) is x in double.
  return at::softplus(x, /*beta=*/1, /*threshold=*/40);
}

at::Tensor softsign(const at::Tensor& x) { return x / (x.abs() + 1); }

Kernel make_gelu(const NodeInfo& info) {
  const std::string form = info.node.attr_string("approximate", "none");
  if (form != "none" && form != "tanh")
    info.invalid("attribute 'approximate' is '" + form +
                 "', but should be none or tanh");
  return [form](Inputs in, const RunState&) -> Tensors {
    return {at::gelu(in[0], form)};
  };
}

Kernel make_swish(const NodeInfo& info) {
  return [alpha = attribute(info, "alpha", 1)](Inputs in,
                                               const RunState&) -> Tensors {
    if (alpha == 1) return {at::silu(in[0])};
    return {in[0] * at::sigmoid(in[0] * alpha)};
  };
}

using Bound = c10::optional<at::Scalar>;

// A bound that is an initializer or a Constant's value: one number.
Bound constant_bound(const ir::Value* value) {
  if (!value) return c10::nullopt;
  const ir::Tensor* tensor = nullptr;
  if (value->is_constant())
    tensor = &value->tensor();
  else if (value->producer() && value->producer()->is("Constant"))
    tensor = value->producer()->attr_tensor("value");
  if (!tensor || tensor->size() != 1) return c10::nullopt;
  if (ir::is_integer(tensor->type()))
    return at::Scalar(tensor->to_int64s().at(0));
  if (ir::is_floating(tensor->type()))
    return at::Scalar(tensor->to_doubles().at(0));
  return c10::nullopt;
}

at::Tensor clamp_between(const at::Tensor& x, const Bound& low,
                         const Bound& high) {
  return low || high ? at::clamp(x, low, high) : x;
}

c10::optional<at::Tensor> given(const at::Tensor& tensor) {
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
}

// min and max: attributes before opset 11, inputs since.
Kernel make_clip(const NodeInfo& info) {
  const ir::Node& node = info.node;
  if (info.opset > 0 && info.opset < 11) {
    Bound low, high;
    if (node.has_attribute("min")) low = attribute(info, "min", 0);
    if (node.has_attribute("max")) high = attribute(info, "max", 0);
    return [low, high](Inputs in, const RunState&) -> Tensors {
      return {clamp_between(in[0], low, high)};
    };
  }
  const Bound low = constant_bound(node.input(1)),
              high = constant_bound(node.input(2));
  const bool constant = (low || !node.input(1)) && (high || !node.input(2));
  return [low, high, constant](Inputs in, const RunState&) -> Tensors {
    const at::Tensor lower = input(in, 1), upper = input(in, 2);
    // A constant may have been made a parameter.
    const bool trained = (lower.defined() && lower.requires_grad()) ||
                         (upper.defined() && upper.requires_grad());
    if (constant && !trained) return {clamp_between(in[0], low, high)};
    // In this order, so that max wins where they cross.
    at::Tensor y = in[0];
    if (lower.defined()) y = at::clamp(y, given(lower), given({}));
    if (upper.defined()) y = at::clamp(y, given({}), given(upper));
    return {y};
  };
}

Kernel make_shrink(const NodeInfo& info) {
  return [bias = attribute(info, "bias", 0),
          lambda = attribute(info, "lambd", 0.5f)](Inputs in,
                                                   const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    if (bias == 0 && lambda >= 0 && x.is_floating_point())
      return {at::hardshrink(x, lambda)};
    const at::Tensor raised = x + bias, lowered = x - bias;
    return {at::where(x < -lambda, raised,
                      at::where(x > lambda, lowered, at::zeros_like(lowered)))
                .to(x.scalar_type())};
  };
}

constexpr OperatorRow kRows[] = {
    {"Celu", make_celu},
    {"Clip", make_clip},
    {"Elu", make_elu},
    {"Erf", make_unary<at::erf>},
    {"Gelu", make_gelu},
    {"HardSigmoid", make_hard_sigmoid},
    {"HardSwish", make_unary<at::hardswish>},
    {"LeakyRelu", make_leaky_relu},
    {"Mish", make_unary<at::mish>},
    {"PRelu", make_prelu},
    {"Relu", make_unary<at::relu>},
    {"Selu", make_selu},
    {"Shrink", make_shrink},
    {"Sigmoid", make_unary<at::sigmoid>},
    {"Sign", make_unary<at::sign>},
    {"Softplus", make_unary<softplus>},
    {"Softsign", make_unary<softsign>},
    {"Swish", make_swish},
    {"Tanh", make_unary<at::tanh>},
    {"ThresholdedRelu", make_thresholded_relu},
};

}  // namespace

std::span<const OperatorRow> activation_rows() { return kRows; }

}  // namespace lathe::exec
