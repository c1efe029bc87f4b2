// Knowledge distillation, Hinton et al. (2015), arXiv 1503.02531:
//
//   T^2 KL(softmax(t / T) || softmax(s / T))
//
// averaged over samples and the positions beside classes.
#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {

void kl_loss(const LossInputs& in, const LossSettings& settings,
             at::Tensor& loss) {
  const double t = settings.temperature;
  loss = mean_kl(class_rows(in.student, in.axis) / t,
                 class_rows(in.teacher, in.axis) / t) *
         (t * t);
}

}  // namespace lathe::distill
