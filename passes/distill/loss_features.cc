// FitNets, Romero et al. (2015), arXiv 1412.6550, eq. 3, in units of the
// teacher's variance: mean((s - t)^2) / var(t). Adapters (adapters.h) are what
// the paper calls regressors.
#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {

void features_loss(const LossInputs& in, const LossSettings&,
                   at::Tensor& loss) {
  loss = relative_mse(in.student, in.teacher);
}

}  // namespace lathe::distill
