#include "passes/exec/synchronized_batch_norm.h"

#include <ATen/core/ivalue.h>

#include <algorithm>
#include <tuple>

#include "passes/base/error.h"
#include "passes/exec/process_group.h"

namespace lathe::exec {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Over all ranks; mean and variance [C] in double, of the population.
struct Moments {
  double count = 0;  // of elements a channel
  at::Tensor mean, variance;
};

struct Call : torch::CustomClassHolder {
  Call(double n, double eps, std::shared_ptr<ProcessGroup> ranks)
      : count(n), epsilon(eps), group(std::move(ranks)) {}
  const double count, epsilon;
  const std::shared_ptr<ProcessGroup> group;
};

constexpr const char* kCall = "call";

// [C] as [1, C, 1, ...].
at::Tensor along_channels(const at::Tensor& values, const at::Tensor& x) {
  std::vector<int64_t> sizes(static_cast<size_t>(x.dim()), 1);
  sizes.at(1) = -1;
  return values.reshape(sizes);
}

bool is_short(const at::Tensor& x) {
  return x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16;
}

struct Normalization : torch::autograd::Function<Normalization> {
  static at::Tensor forward(AutogradContext* ctx, c10::IValue call,
                            const at::Tensor& x, const at::Tensor& scale,
                            const at::Tensor& bias, const at::Tensor& mean,
                            const at::Tensor& variance) {
    auto holder = call.toCapsule();
    const auto& known = static_cast<const Call&>(*holder);
    ctx->saved_data[kCall] = std::move(call);
    ctx->save_for_backward({x, scale, mean, variance});
    if (x.numel() == 0) return at::empty_like(x);
    return std::get<0>(at::native_batch_norm(x, scale, bias, mean, variance,
                                             /*training=*/false, 0,
                                             known.epsilon));
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    if (at::GradMode::is_enabled())
      throw Error(ErrorKind::kUsage, "BatchNormalization over ranks",
                  "there are no gradients of gradients through it",
                  "use one rank");
    auto holder = ctx->saved_data[kCall].toCapsule();
    const auto& call = static_cast<const Call&>(*holder);
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &scale = saved[1], &mean = saved[2],
                     &variance = saved[3];
    // What it would be with mean and variance fixed; dscale = sum(dy * xhat),
    // dbias = sum(dy).
    at::Tensor dx, dscale, dbias;
    if (x.numel() == 0) {
      dx = at::zeros_like(x);
      dscale = at::zeros_like(scale);
      dbias = at::zeros_like(scale);
    } else {
      std::tie(dx, dscale, dbias) = at::native_batch_norm_backward(
          grads[0], x, scale, mean, variance, /*save_mean=*/{},
          /*save_invstd=*/{}, /*train=*/false, call.epsilon,
          {true, true, true});
    }
    at::Tensor sums = at::stack({dbias, dscale}).to(at::kDouble);
    call.group->all_reduce({sums});
    const at::Tensor inverse =
        at::rsqrt(variance.to(at::kDouble) + call.epsilon);
    const at::Tensor factor = scale.to(at::kDouble) * inverse / call.count;
    const at::Tensor constant = (factor * sums[0]).to(x.scalar_type());
    const at::Tensor slope = (factor * inverse * sums[1]).to(x.scalar_type());
    dx = dx - (x - along_channels(mean, x)) * along_channels(slope, x) -
         along_channels(constant, x);
    return {at::Tensor(), dx, dscale, dbias, at::Tensor(), at::Tensor()};
  }
};

Moments moments_over_ranks(const at::Tensor& x, ProcessGroup& group) {
  const at::NoGradGuard no_grad;
  const int64_t channels = x.size(1);
  const auto options = x.options().dtype(at::kDouble);
  // The count, then sums, then sums of squares.
  at::Tensor sums = at::zeros({1 + 2 * channels}, options);
  if (x.numel() > 0) {
    const double count = static_cast<double>(x.numel() / channels);
    auto [mean, variance] = at::batch_norm_update_stats(
        is_short(x) ? x.detach().to(at::kFloat) : x.detach(),
        /*running_mean=*/{}, /*running_var=*/{}, 0);
    mean = mean.to(at::kDouble);
    sums[0] = count;
    sums.narrow(0, 1, channels) = mean * count;
    sums.narrow(0, 1 + channels, channels) =
        (variance.to(at::kDouble) + mean * mean) * count;
  }
  group.all_reduce({sums});
  Moments moments;
  moments.count = sums[0].item<double>();
  moments.mean = sums.narrow(0, 1, channels) / moments.count;
  moments.variance = (sums.narrow(0, 1 + channels, channels) / moments.count -
                      moments.mean * moments.mean)
                         .clamp_min(0);
  return moments;
}

at::Tensor normalized(const at::Tensor& x, const at::Tensor& scale,
                      const at::Tensor& bias, const Moments& moments,
                      double epsilon, std::shared_ptr<ProcessGroup> group) {
  if (is_short(x))
    return normalized(x.to(at::kFloat), scale.to(at::kFloat),
                      bias.to(at::kFloat), moments, epsilon, std::move(group))
        .to(x.scalar_type());
  auto call =
      c10::make_intrusive<Call>(moments.count, epsilon, std::move(group));
  return Normalization::apply(c10::IValue::make_capsule(std::move(call)), x,
                              scale, bias, moments.mean.to(scale.scalar_type()),
                              moments.variance.to(scale.scalar_type()));
}

at::Tensor moved(const at::Tensor& running, const at::Tensor& now,
                 double momentum) {
  return running * momentum + now.to(running.scalar_type()) * (1 - momentum);
}

}  // namespace

Tensors batch_norm_over_ranks(Inputs in, const RunState& state, double epsilon,
                              double momentum, bool statistics) {
  const at::Tensor& x = in[0];
  at::Tensor mean = in[3], variance = in[4];
  const Moments moments = moments_over_ranks(x, *state.group);
  Tensors outputs = {
      normalized(x, in[1], in[2], moments, epsilon, state.group)};
  const at::NoGradGuard no_grad;
  if (statistics)
    outputs.insert(outputs.end(),
                   {moved(mean, moments.mean, momentum),
                    moved(variance, moments.variance, momentum)});
  if (!state.again) {
    const double unbiased = moments.count / std::max(moments.count - 1, 1.0);
    mean.copy_(moved(mean, moments.mean, momentum));
    variance.copy_(moved(variance, moments.variance * unbiased, momentum));
  }
  return outputs;
}

}  // namespace lathe::exec
