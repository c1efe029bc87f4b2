// Normalizations, softmax and dropout.
#include <torch/csrc/autograd/grad_mode.h>

#include <tuple>

#include "passes/exec/operator_kernel.h"
#include "passes/exec/synchronized_batch_norm.h"

namespace lathe::exec {
namespace {

using Ints = std::vector<int64_t>;

c10::optional<at::Tensor> given(const at::Tensor& tensor) {
  return tensor.defined() ? c10::optional<at::Tensor>(tensor) : c10::nullopt;
}

double read_epsilon(const NodeInfo& info, float fallback = 1e-5f) {
  return info.node.attr_float("epsilon", fallback);
}

// [C] as [1, C, 1, ...].
at::Tensor along_channels(const at::Tensor& values, const at::Tensor& x) {
  Ints sizes(static_cast<size_t>(x.dim()), 1);
  sizes.at(1) = -1;
  return values.reshape(sizes);
}

// From `axis` on, at least one.
Ints axes_from(int64_t axis, const at::Tensor& x) {
  Ints axes;
  for (int64_t i = c10::maybe_wrap_dim(axis, x.dim()); i < x.dim(); ++i)
    axes.push_back(i);
  return axes;
}

// --- BatchNormalization ---------------------------------------------------

// With gradients for mean and variance as well, which LibTorch's call has not.
at::Tensor normalize_with(const at::Tensor& x, const at::Tensor& scale,
                          const at::Tensor& bias, const at::Tensor& mean,
                          const at::Tensor& variance, double epsilon) {
  const at::Tensor factor = scale * at::rsqrt(variance + epsilon);
  return (x - along_channels(mean, x)) * along_channels(factor, x) +
         along_channels(bias, x);
}

// The running statistics after this batch, and before: ONNX takes the
// population's variance.
Tensors updated_statistics(const at::Tensor& x, const at::Tensor& mean,
                           const at::Tensor& variance, double momentum) {
  Ints axes = {0};
  for (int64_t i = 2; i < x.dim(); ++i) axes.push_back(i);
  auto [now_variance, now_mean] =
      at::var_mean(x, axes, /*unbiased=*/false, /*keepdim=*/false);
  return {mean * momentum + now_mean * (1 - momentum),
          variance * momentum + now_variance * (1 - momentum)};
}

Kernel make_batch_normalization(const NodeInfo& info) {
  if (info.node.attr_int("spatial", 1) != 1)
    info.unsupported("attribute 'spatial' is 0");
  const bool statistics = info.wants(1) || info.wants(2);
  const bool from_batch = info.node.attr_int("training_mode", 0) != 0;
  // Before opset 14, further outputs meant training.
  if ((statistics && !from_batch) || info.wants(3) || info.wants(4))
    info.unsupported("its statistics are used outside of training_mode");
  return [statistics, from_batch, epsilon = read_epsilon(info),
          momentum = static_cast<double>(info.node.attr_float(
              "momentum", 0.9f))](Inputs in, const RunState& state) -> Tensors {
    const at::Tensor &x = in[0], &scale = in[1], &bias = in[2], &mean = in[3],
                     &variance = in[4];
    if (!state.training && !from_batch) {
      if (at::GradMode::is_enabled() &&
          (mean.requires_grad() || variance.requires_grad()))
        return {normalize_with(x, scale, bias, mean, variance, epsilon)};
      return {at::batch_norm(x, scale, bias, mean, variance,
                             /*training=*/false, 0, epsilon,
                             /*cudnn_enabled=*/true)};
    }
    if (state.training && state.group)
      return batch_norm_over_ranks(in, state, epsilon, momentum, statistics);
    Tensors outputs(1);
    if (statistics) {
      for (at::Tensor& one : updated_statistics(x, mean, variance, momentum))
        outputs.push_back(std::move(one));
    }
    // LibTorch writes the running statistics that it is given: none is, where
    // they stay.
    const bool writes = state.training && !state.again;
    outputs[0] =
        at::batch_norm(x, scale, bias, writes ? given(mean) : c10::nullopt,
                       writes ? given(variance) : c10::nullopt,
                       /*training=*/true, 1 - momentum, epsilon,
                       /*cudnn_enabled=*/true);
    return outputs;
  };
}

// --- Others over channels -------------------------------------------------

Kernel make_instance_normalization(const NodeInfo& info) {
  return [epsilon = read_epsilon(info)](Inputs in, const RunState&) -> Tensors {
    return {at::instance_norm(in[0], in[1], in[2], c10::nullopt, c10::nullopt,
                              /*use_input_stats=*/true, 0, epsilon,
                              /*cudnn_enabled=*/true)};
  };
}

// Scale and bias: one a group before opset 21, one a channel since.
Kernel make_group_normalization(const NodeInfo& info) {
  const int64_t groups = info.node.attr_int("num_groups", 0);
  if (groups <= 0) info.invalid("attribute 'num_groups' has to be positive");
  return [groups, by_group = info.opset > 0 && info.opset < 21,
          epsilon = read_epsilon(info)](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    at::Tensor scale = in[1], bias = in[2];
    if (by_group) {
      const int64_t each = x.size(1) / groups;
      scale = scale.unsqueeze(1).expand({groups, each}).reshape({-1});
      bias = bias.unsqueeze(1).expand({groups, each}).reshape({-1});
    }
    return {at::group_norm(x, groups, scale, bias, epsilon)};
  };
}

// y = x / (bias + alpha / size * sum of squares of the channels around)^beta.
Kernel make_lrn(const NodeInfo& info) {
  const int64_t size = info.node.attr_int("size", 0);
  if (size <= 0) info.invalid("attribute 'size' has to be positive");
  const double alpha = info.node.attr_float("alpha", 1e-4f),
               beta = info.node.attr_float("beta", 0.75f),
               bias = info.node.attr_float("bias", 1.0f);
  return [size, alpha, beta, bias](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    const at::Tensor squares =
        at::constant_pad_nd((x * x).reshape({x.size(0), 1, x.size(1), -1}),
                            {0, 0, (size - 1) / 2, size / 2}, 0);
    const at::Tensor means =
        at::avg_pool2d(squares, {size, 1}, {1, 1}).reshape(x.sizes());
    return {x * (means * alpha + bias).pow(-beta)};
  };
}

// --- Over axes ------------------------------------------------------------

Kernel make_layer_normalization(const NodeInfo& info) {
  return [axis = info.node.attr_int("axis", -1), epsilon = read_epsilon(info),
          statistics = info.wants(1) || info.wants(2)](
             Inputs in, const RunState&) -> Tensors {
    const at::Tensor &x = in[0], &scale = in[1];
    const at::Tensor bias = input(in, 2);
    const at::IntArrayRef shape = x.sizes().slice(
        static_cast<size_t>(c10::maybe_wrap_dim(axis, x.dim())));
    if (!statistics && scale.sizes() == shape &&
        (!bias.defined() || bias.sizes() == shape))
      return {at::layer_norm(x, shape, scale, given(bias), epsilon)};
    auto [variance, mean] = at::var_mean(x, axes_from(axis, x),
                                         /*unbiased=*/false, /*keepdim=*/true);
    const at::Tensor inverse = at::rsqrt(variance + epsilon);
    const at::Tensor y = (x - mean) * inverse * scale;
    return {bias.defined() ? y + bias : y, mean, inverse};
  };
}

// The second output, which ONNX Runtime's form has, is the factor.
Kernel make_rms_normalization(const NodeInfo& info) {
  return [axis = info.node.attr_int("axis", -1), epsilon = read_epsilon(info),
          factor = info.wants(1)](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    const at::Tensor inverse = at::rsqrt(
        at::mean(x * x, axes_from(axis, x), /*keepdim=*/true) + epsilon);
    const at::Tensor y = x * inverse * in[1];
    return factor ? Tensors{y, inverse} : Tensors{y};
  };
}

Kernel make_lp_normalization(const NodeInfo& info) {
  const int64_t p = info.node.attr_int("p", 2);
  if (p != 1 && p != 2)
    info.invalid("attribute 'p' is " + std::to_string(p) +
                 ", but should be 1 or 2");
  return [p, axis = info.node.attr_int("axis", -1)](
             Inputs in, const RunState&) -> Tensors {
    const at::Tensor norm = at::norm(in[0], p, axis, /*keepdim=*/true);
    return {in[0] / norm.masked_fill(norm == 0, 1)};
  };
}

Kernel make_mean_variance_normalization(const NodeInfo& info) {
  return [axes = info.node.attr_ints("axes", {0, 2, 3})](
             Inputs in, const RunState&) -> Tensors {
    auto [variance, mean] = at::var_mean(in[0], axes, /*unbiased=*/false,
                                         /*keepdim=*/true);
    return {(in[0] - mean) / (variance.sqrt() + 1e-9)};
  };
}

// Before opset 13 over all axes from `axis` (1) on, since along `axis` (-1).
template <at::Tensor (*along)(const at::Tensor&, int64_t)>
Kernel make_softmax(const NodeInfo& info) {
  const bool flat = info.opset > 0 && info.opset < 13;
  return [flat, axis = info.node.attr_int("axis", flat ? 1 : -1)](
             Inputs in, const RunState&) -> Tensors {
    const at::Tensor& x = in[0];
    if (!flat) return {along(x, axis)};
    // It may stand behind the last axis.
    const int64_t first =
        axis == x.dim() ? axis : c10::maybe_wrap_dim(axis, x.dim());
    if (first == x.dim() - 1) return {along(x, first)};
    int64_t outer = 1, inner = 1;
    for (int64_t i = 0; i < x.dim(); ++i)
      (i < first ? outer : inner) *= x.size(i);
    return {along(x.reshape({outer, inner}), 1).reshape(x.sizes())};
  };
}

at::Tensor softmax(const at::Tensor& x, int64_t axis) {
  return at::softmax(x, axis);
}

at::Tensor log_softmax(const at::Tensor& x, int64_t axis) {
  return at::log_softmax(x, axis);
}

// One at the first of the largest.
at::Tensor hardmax(const at::Tensor& x, int64_t axis) {
  return at::zeros_like(x).scatter(axis, at::argmax(x, axis, /*keepdim=*/true),
                                   1);
}

// ratio and training_mode: an attribute and none before opset 12, inputs since.
// The node's seed is not used: numbers come from LibTorch's generator.
Kernel make_dropout(const NodeInfo& info) {
  return [ratio = static_cast<double>(info.node.attr_float("ratio", 0.5f)),
          inputs = !(info.opset > 0 && info.opset < 12),
          // Of the data's type, once.
          bool_mask = !(info.opset > 0 && info.opset < 10),
          given = constant_number(info.node.input(1)),
          masked = info.wants(1)](Inputs in, const RunState& state) -> Tensors {
    const at::Tensor& x = in[0];
    double rate = given.value_or(ratio);
    bool drops = state.training;
    if (inputs) {
      const at::Tensor rate_input = input(in, 1), mode = input(in, 2);
      if (!drops && mode.defined()) drops = mode.item<bool>();
      if (drops && rate_input.defined() && !given)
        rate = rate_input.item<double>();
    }
    at::Tensor y = x, mask;
    if (drops && rate > 0) {
      std::tie(y, mask) = at::native_dropout(x, rate, /*train=*/true);
    } else if (masked) {
      // Where nothing drops, all is kept; ONNX Runtime's older form gives 0.
      mask = at::full_like(x, inputs, x.options().dtype(at::kBool));
    }
    if (!masked) return {y};
    return {y, bool_mask ? mask : mask.to(x.scalar_type())};
  };
}

constexpr OperatorRow kRows[] = {
    {"BatchNormalization", make_batch_normalization},
    {"Dropout", make_dropout, "", {.host = 0b110}},
    {"GroupNormalization", make_group_normalization},
    {"Hardmax", make_softmax<hardmax>},
    {"InstanceNormalization", make_instance_normalization},
    {"LayerNormalization", make_layer_normalization},
    {"LogSoftmax", make_softmax<log_softmax>},
    {"LpNormalization", make_lp_normalization},
    {"LRN", make_lrn},
    {"MeanVarianceNormalization", make_mean_variance_normalization},
    {"RMSNormalization", make_rms_normalization},
    {"Softmax", make_softmax<softmax>},
};

}  // namespace

std::span<const OperatorRow> normalization_rows() { return kRows; }

}  // namespace lathe::exec
