// Attention transfer, Zagoruyko and Komodakis (2017), arXiv 1612.03928, eq. 2:
//
//   mean_i |q_s / |q_s| - q_t / |q_t||^2,   q = vec(sum over channels of A^2)
//
// of samples i, Euclidean norms.
#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {
namespace {

// [N, positions]
at::Tensor attention_map(const at::Tensor& values, int64_t axis) {
  return values.square().sum(axis).flatten(1);
}

}  // namespace

void attention_loss(const LossInputs& in, const LossSettings&,
                    at::Tensor& loss) {
  const at::Tensor student = attention_map(in.student, in.axis);
  const at::Tensor teacher = attention_map(in.teacher, in.axis);
  // |a - b|^2 = 2 - 2 <a, b> of unit vectors.
  loss = 2 * (1 - row_cosine(student, teacher)).mean();
}

}  // namespace lathe::distill
