// Losses of training graphs.
#include "passes/exec/operator_kernel.h"

namespace lathe::exec {
namespace {

enum class Reduction { kNone, kSum, kMean };

// What both operators' attributes say.
struct Loss {
  explicit Loss(const NodeInfo& info)
      : has_ignored(info.node.has_attribute("ignore_index")),
        ignored(info.node.attr_int("ignore_index", 0)) {
    const std::string name = info.node.attr_string("reduction", "mean");
    if (name == "none")
      reduction = Reduction::kNone;
    else if (name == "sum")
      reduction = Reduction::kSum;
    else if (name != "mean")
      info.invalid("attribute 'reduction' is '" + name +
                   "', but should be none, sum or mean");
  }

  // log_probability [N, C, d...], target [N, d...], weight [C] or undefined.
  at::Tensor operator()(const at::Tensor& log_probability,
                        const at::Tensor& target,
                        const at::Tensor& weight) const {
    at::Tensor classes = target.to(at::kLong), skipped;
    if (has_ignored) {
      skipped = classes == ignored;
      classes = classes.masked_fill(skipped, 0);
    }
    const at::Tensor picked =
        log_probability.gather(1, classes.unsqueeze(1)).squeeze(1);
    at::Tensor share = weight.defined()
                           ? weight.index_select(0, classes.reshape({-1}))
                                 .reshape(classes.sizes())
                           : at::ones_like(picked);
    if (has_ignored) share = share.masked_fill(skipped, 0);
    const at::Tensor losses = -picked * share;
    if (reduction == Reduction::kNone) return losses;
    if (reduction == Reduction::kSum) return losses.sum();
    return losses.sum() / share.sum();
  }

  bool has_ignored;
  int64_t ignored;
  Reduction reduction = Reduction::kMean;
};

Kernel make_negative_log_likelihood(const NodeInfo& info) {
  return [loss = Loss(info)](Inputs in, const RunState&) -> Tensors {
    return {loss(in[0], in[1], input(in, 2))};
  };
}

Kernel make_softmax_cross_entropy(const NodeInfo& info) {
  return [loss = Loss(info)](Inputs in, const RunState&) -> Tensors {
    const at::Tensor log_probability = at::log_softmax(in[0], 1);
    return {loss(log_probability, in[1], input(in, 2)), log_probability};
  };
}

constexpr OperatorRow kRows[] = {
    {"NegativeLogLikelihoodLoss", make_negative_log_likelihood},
    {"SoftmaxCrossEntropyLoss", make_softmax_cross_entropy},
};

}  // namespace

std::span<const OperatorRow> loss_rows() { return kRows; }

}  // namespace lathe::exec
