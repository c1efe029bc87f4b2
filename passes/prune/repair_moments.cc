// Mean and standard deviation of every channel, where nothing normalises them:
//
//   z' = s z + t,  s = std(y) / std(z),  t = mean(y) - s mean(z)
//
// with z the product's result over samples and positions and y the dense
// model's; s goes into the weights, t into the bias. It is to products what
// re-estimated statistics are to a BatchNormalization (Li et al. 2020,
// "EagleEye", arXiv 2007.02491; Jordan et al. 2022, "REPAIR", arXiv
// 2211.08403).
#include "passes/prune/repair_fit.h"

namespace lathe::prune {

Affine match_moments(const Rows& rows, const Affine& now, int jobs) {
  const Evaluation evaluate(now);
  // Sums and sums of squares, of the result and of what is wanted.
  const at::Tensor sums = sum_over(rows, jobs, [&](const Rows& part) {
    const at::Tensor z = evaluate(part).to(at::kDouble);
    const at::Tensor y = part.y.to(at::kDouble);
    return at::stack(
        {z.sum(0), z.square().sum(0), y.sum(0), y.square().sum(0)});
  });
  const at::Tensor means = sums / static_cast<double>(rows.size());
  const at::Tensor variance = means[1] - means[0].square();
  const at::Tensor wanted = (means[3] - means[2].square()).clamp_min(0);
  const at::Tensor scale =
      at::where(variance <= 1e-10 * means[1], at::ones_like(variance),
                (wanted / variance).sqrt());
  Affine result{now.weights * scale.reshape({now.weights.size(0), -1, 1}), {}};
  if (now.intercept.defined())
    result.intercept = means[2] + (now.intercept - means[0]) * scale;
  return result;
}

}  // namespace lathe::prune
