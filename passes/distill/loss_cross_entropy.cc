// -log softmax(s)[label], or the mean of it by shares where labels are mixed
// (Zhang et al. 2018, arXiv 1710.09412); the mean over samples.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {

void cross_entropy_loss(const LossInputs& in, const LossSettings&,
                        at::Tensor& loss) {
  const at::Tensor& student = in.student;
  const at::Tensor& labels = in.labels;
  const bool mixed = labels.is_floating_point();
  if (student.dim() != 2 || labels.size(0) != student.size(0) ||
      (mixed ? labels.sizes() != student.sizes() : labels.dim() != 1))
    throw_unfit(
        "cross_entropy", in.name,
        fmt::format("scores are [{}] and labels [{}], but should be [N, C] "
                    "and [N], or [N, C] where labels are mixed",
                    fmt::join(student.sizes(), ", "),
                    fmt::join(labels.sizes(), ", ")));
  const at::Tensor likelihood = at::log_softmax(student, 1);
  if (mixed) {
    loss = -(likelihood * labels.to(student.options())).sum(1).mean();
    return;
  }
  check_labels(labels, student.size(1));
  loss = at::nll_loss(likelihood, labels.to(student.device(), at::kLong));
}

}  // namespace lathe::distill
