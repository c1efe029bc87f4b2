// DIST, Huang et al. (2022), arXiv 2205.10536:
//
//   T^2 (alpha mean_i (1 - r(p_s[i, :], p_t[i, :]))
//        + beta mean_j (1 - r(p_s[:, j], p_t[:, j])))
//
// p: softmax of scores / T, [M, C], r: Pearson's correlation. Rows and columns
// in which the teacher's are all the same say nothing and are left out; so the
// second term is 0 for a batch of one.
#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {
namespace {

// Of rows [M, D].
at::Tensor mean_distance(const at::Tensor& student, const at::Tensor& teacher) {
  const at::Tensor expected = teacher - teacher.mean(1, true);
  const at::Tensor mine = student - student.mean(1, true);
  const at::Tensor varies = expected.square().sum(1) > 1e-12;
  const at::Tensor distance = 1 - row_cosine(mine, expected);
  return at::where(varies, distance, at::zeros_like(distance)).sum() /
         varies.sum().clamp_min(1);
}

}  // namespace

void dist_loss(const LossInputs& in, const LossSettings& settings,
               at::Tensor& loss) {
  const double t = settings.temperature;
  const at::Tensor student =
      at::softmax(class_rows(in.student, in.axis) / t, 1);
  const at::Tensor teacher =
      at::softmax(class_rows(in.teacher, in.axis) / t, 1);
  loss = (mean_distance(student, teacher) * settings.alpha +
          mean_distance(student.t(), teacher.t()) * settings.beta) *
         (t * t);
}

}  // namespace lathe::distill
