// mean((s - t)^2) / var(t) over the batch: weights compare across outputs.
#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {

void mse_loss(const LossInputs& in, const LossSettings&, at::Tensor& loss) {
  loss = relative_mse(in.student, in.teacher);
}

}  // namespace lathe::distill
