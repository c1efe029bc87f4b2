// Decoupled knowledge distillation, Zhao et al. (2022), arXiv 2203.08679, eq.
// 7:
//
//   T^2 (alpha KL(b_t || b_s) + beta KL(q_t || q_s))
//
// b: probabilities of the target class and of all others together, q: of the
// others among themselves. The target class is the label, or what the teacher
// finds likeliest where labels are missing, mixed, or not one a position.
#include "passes/distill/loss_inputs.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {
namespace {

// [M, 1]
at::Tensor targets(const at::Tensor& labels, const at::Tensor& teacher) {
  if (labels.defined() && labels.dim() == 1 && !labels.is_floating_point() &&
      labels.size(0) == teacher.size(0)) {
    check_labels(labels, teacher.size(1));
    return labels.to(teacher.device(), at::kLong).unsqueeze(1);
  }
  return teacher.argmax(1, /*keepdim=*/true);
}

// The scores of the classes that are not the target, [M, C - 1].
at::Tensor others(const at::Tensor& scores, const at::Tensor& target) {
  at::Tensor index = at::arange(scores.size(1) - 1, target.options());
  index = index + (index >= target);
  return scores.gather(1, index);
}

// Scores of the target and of all others as one class, [M, 2].
at::Tensor binary(const at::Tensor& scores, const at::Tensor& target,
                  const at::Tensor& rest) {
  return at::cat({scores.gather(1, target), rest.logsumexp(1, true)}, 1);
}

}  // namespace

void dkd_loss(const LossInputs& in, const LossSettings& settings,
              at::Tensor& loss) {
  const double t = settings.temperature;
  const at::Tensor student = class_rows(in.student, in.axis) / t;
  const at::Tensor teacher = class_rows(in.teacher, in.axis) / t;
  const at::Tensor target = targets(in.labels, teacher);
  const at::Tensor rest_student = others(student, target);
  const at::Tensor rest_teacher = others(teacher, target);
  loss = (mean_kl(binary(student, target, rest_student),
                  binary(teacher, target, rest_teacher)) *
              settings.alpha +
          mean_kl(rest_student, rest_teacher) * settings.beta) *
         (t * t);
}

}  // namespace lathe::distill
