// mean over samples of 1 - <s, t> / (|s| |t|), over all other axes.
#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {

void cosine_loss(const LossInputs& in, const LossSettings&, at::Tensor& loss) {
  const int64_t samples = in.student.size(0);
  if (in.student.numel() == samples)
    throw_unfit("cosine", in.name, "one value a sample has no direction",
                "mse fits single values");
  loss = (1 - row_cosine(in.student.reshape({samples, -1}),
                         in.teacher.reshape({samples, -1})))
             .mean();
}

}  // namespace lathe::distill
