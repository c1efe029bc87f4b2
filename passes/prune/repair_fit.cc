#include "passes/prune/repair_fit.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "passes/base/jobs.h"
#include "passes/exec/single_thread.h"

namespace lathe::prune {
namespace {

at::Tensor bounded(const at::Tensor& values, Bounds bounds) {
  return bounds.any() ? values.clamp(bounds.low, bounds.high) : values;
}

}  // namespace

bool Bounds::any() const { return std::isfinite(low) || std::isfinite(high); }

Rows Rows::slice(int64_t begin, int64_t end) const {
  const auto part = [&](const at::Tensor& rows) {
    return rows.defined() ? rows.slice(0, begin, end) : rows;
  };
  return {x.slice(1, begin, end), part(y), part(around), part(lacking)};
}

Evaluation::Evaluation(const Affine& affine)
    : weights_(affine.weights.transpose(1, 2).to(at::kFloat)) {
  if (affine.intercept.defined()) intercept_ = affine.intercept.to(at::kFloat);
}

at::Tensor Evaluation::operator()(const Rows& rows) const {
  const at::Tensor z =
      at::bmm(rows.x, weights_).permute({1, 0, 2}).reshape({rows.size(), -1});
  return intercept_.defined() ? z + intercept_ : z;
}

at::Tensor sum_over(const Rows& rows, int jobs,
                    const std::function<at::Tensor(const Rows&)>& body) {
  const auto count =
      static_cast<size_t>((rows.size() + kRowsAtOnce - 1) / kRowsAtOnce);
  std::vector<at::Tensor> sums(count);
  parallel_for(count, jobs, [&](size_t i) {
    const at::NoGradGuard no_grad;
    const exec::SingleThread single;
    const int64_t begin = static_cast<int64_t>(i) * kRowsAtOnce;
    sums[i] =
        body(rows.slice(begin, std::min(begin + kRowsAtOnce, rows.size())))
            .to(at::kDouble);
  });
  at::Tensor sum = sums.at(0);
  for (size_t i = 1; i < count; ++i) sum = sum + sums[i];
  return sum;
}

double squared_error(const Rows& rows, const Affine& affine, Bounds bounds,
                     int jobs) {
  const Evaluation evaluate(affine);
  const at::Tensor sum = sum_over(rows, jobs, [&](const Rows& part) {
    const at::Tensor given = bounded(part.added(evaluate(part)), bounds);
    const at::Tensor wanted = bounded(part.added(part.wanted()), bounds);
    return (given - wanted).square().sum(at::kDouble);
  });
  return sum.item<double>() / static_cast<double>(rows.size());
}

}  // namespace lathe::prune
