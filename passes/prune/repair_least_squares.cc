// Closed-form least squares of a product that lost inputs (Luo et al. 2017,
// "ThiNet", arXiv 1707.06342, equation 7; He et al. 2017, "Channel pruning",
// arXiv 1707.06168, section 3.1), with the weights that are there as the prior:
//
//   W' = W + (Y - W X) X^T (X X^T + lambda I)^-1
//
// X: the inputs as the pruned model has them now, features by rows; Y: what the
// dense model's product gives there. X and Y are centred where there is a bias,
// which takes the means. Only X X^T and Y X^T are needed.
//
// Beyond a bound behind the product (below 0 before a Relu) any result will do:
// Y is replaced there by what the fit gives, and the fit repeated (the
// alternation of Zhang et al. 2015, arXiv 1505.06798, section 2.2).
#include <algorithm>
#include <limits>
#include <optional>
#include <tuple>

#include "passes/base/jobs.h"
#include "passes/exec/single_thread.h"
#include "passes/prune/repair_fit.h"

namespace lathe::prune {
namespace {

constexpr int64_t kSlab = 256;      // rows of the sums that one job adds to
constexpr int64_t kGroupSlab = 16;  // or groups
constexpr int kRidges = 5;
constexpr double kRidgeStep = 32;
constexpr int kRounds = 2;  // with results beyond bounds let go

size_t parts(int64_t length, int64_t size) {
  return static_cast<size_t>((length + size - 1) / size);
}

// y, but beyond a bound what the fit gives, if that is beyond it as well.
at::Tensor free_targets(const Rows& rows, const at::Tensor& fitted,
                        Bounds bounds) {
  const at::Tensor wanted = rows.added(rows.wanted());
  const at::Tensor given = rows.added(fitted);
  at::Tensor target =
      at::where(wanted <= bounds.low, given.clamp_max(bounds.low), wanted);
  target =
      at::where(wanted >= bounds.high, given.clamp_min(bounds.high), target);
  return rows.around.defined() ? target - rows.around : target;
}

// x^T y with a feature that is always 1: [groups, features + 1, outputs of a
// group].
at::Tensor cross_sums(const Rows& rows, const at::Tensor& y) {
  const at::Tensor wanted =
      y.reshape({rows.size(), rows.x.size(0), -1}).permute({1, 0, 2});
  return at::cat({at::bmm(rows.x.transpose(1, 2), wanted),
                  wanted.sum(1, /*keepdim=*/true)},
                 1);
}

// Sums over rows: x^T x with a feature that is always 1.
class GramSums {
 public:
  GramSums(int64_t groups, int64_t features);
  // The same sums for any number of jobs.
  void add(const Rows& rows, int jobs);
  const at::Tensor& gram() const { return gram_; }
  double rows() const { return rows_; }

 private:
  at::Tensor gram_;  // double [groups, features + 1, features + 1], lower
  double rows_ = 0;
};

GramSums::GramSums(int64_t groups, int64_t features)
    : gram_(at::zeros({groups, features + 1, features + 1}, at::kDouble)) {}

void GramSums::add(const Rows& rows, int jobs) {
  const int64_t groups = gram_.size(0), size = gram_.size(1);
  const auto add_slab = [&](const at::Tensor& all, int64_t group,
                            int64_t group_end, int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;
    const exec::SingleThread single;
    const at::Tensor x = all.slice(0, group, group_end);
    const at::Tensor left = x.slice(2, begin, end).transpose(1, 2).contiguous();
    gram_.slice(0, group, group_end)
        .slice(1, begin, end)
        .slice(2, 0, end)
        .add_(at::bmm(left, x.slice(2, 0, end)));
  };
  for (int64_t first = 0; first < rows.size(); first += kRowsAtOnce) {
    const at::Tensor x =
        rows.slice(first, std::min(first + kRowsAtOnce, rows.size())).x;
    const at::Tensor all =
        at::cat({x, at::ones({groups, x.size(1), 1}, x.options())}, 2);
    if (groups == 1)
      parallel_for(parts(size, kSlab), jobs, [&](size_t i) {
        const int64_t begin = static_cast<int64_t>(i) * kSlab;
        add_slab(all, 0, 1, begin, std::min(begin + kSlab, size));
      });
    else
      parallel_for(parts(groups, kGroupSlab), jobs, [&](size_t i) {
        const int64_t begin = static_cast<int64_t>(i) * kGroupSlab;
        add_slab(all, begin, std::min(begin + kGroupSlab, groups), 0, size);
      });
  }
  rows_ += static_cast<double>(rows.size());
}

// argmin over W and b of the mean over rows of |y - W x - b|^2, plus lambda
// times |W - prior.W|^2 with lambda = `ridge` times the mean variance of the
// features. b is free; where `prior` has none, there is none.
class Solver {
 public:
  Solver(const GramSums& sums, const Affine& prior, double ridge);

  // y: the rows' wanted(), or, with an estimate, free_targets() of it. The rows
  // are those of the sums. Nullopt where there is no solution.
  std::optional<Affine> solve(const Rows& rows, const Affine* estimate,
                              Bounds bounds, int jobs) const;
  // kRounds times from an estimate.
  std::optional<Affine> refine(const Rows& rows, Affine estimate, Bounds bounds,
                               int jobs) const;

 private:
  const Affine& prior_;
  const double rows_;
  at::Tensor mean_x_;     // [groups, 1, features]
  at::Tensor explained_;  // by the prior: x^T x W
  at::Tensor factor_;     // Cholesky's; undefined: there is none
};

Solver::Solver(const GramSums& sums, const Affine& prior, double ridge)
    : prior_(prior), rows_(sums.rows()) {
  const int64_t features = sums.gram().size(1) - 1;
  mean_x_ = sums.gram().slice(1, features).slice(2, 0, features) / rows_;
  // The lower triangle alone: it may be large.
  at::Tensor gram =
      sums.gram().slice(1, 0, features).slice(2, 0, features) / rows_;
  if (prior.intercept.defined())
    gram.baddbmm_(mean_x_.transpose(1, 2), mean_x_, /*beta=*/1, /*alpha=*/-1);
  gram.tril_();
  const at::Tensor before = prior.weights.transpose(1, 2).contiguous();
  at::Tensor diagonal = gram.diagonal(0, 1, 2);
  explained_ = at::bmm(gram, before) + at::bmm(gram.transpose(1, 2), before) -
               diagonal.unsqueeze(2) * before;
  diagonal.add_(diagonal.mean(1, /*keepdim=*/true).clamp_min(1e-30) * ridge);
  at::Tensor info;
  std::tie(factor_, info) = at::linalg_cholesky_ex(gram);
  if (info.ne(0).any().item<bool>()) factor_ = at::Tensor();
}

std::optional<Affine> Solver::solve(const Rows& rows, const Affine* estimate,
                                    Bounds bounds, int jobs) const {
  if (!factor_.defined()) return std::nullopt;
  const int64_t features = factor_.size(1);
  const Evaluation evaluate(estimate ? *estimate : prior_);
  const at::Tensor cross =
      sum_over(rows, jobs,
               [&](const Rows& part) {
                 return cross_sums(
                     part, estimate ? free_targets(part, evaluate(part), bounds)
                                    : part.wanted());
               }) /
      rows_;
  const at::Tensor mean_y = cross.slice(1, features);
  at::Tensor target = cross.slice(1, 0, features) - explained_;
  const bool centred = prior_.intercept.defined();
  if (centred) target -= at::bmm(mean_x_.transpose(1, 2), mean_y);
  Affine result;
  result.weights =
      prior_.weights + at::cholesky_solve(target, factor_).transpose(1, 2);
  if (!at::isfinite(result.weights).all().item<bool>()) return std::nullopt;
  if (centred)
    result.intercept =
        (mean_y - at::bmm(mean_x_, result.weights.transpose(1, 2)))
            .reshape({-1});
  return result;
}

std::optional<Affine> Solver::refine(const Rows& rows, Affine estimate,
                                     Bounds bounds, int jobs) const {
  for (int round = 0; round < kRounds; ++round) {
    std::optional<Affine> next = solve(rows, &estimate, bounds, jobs);
    if (!next) return std::nullopt;
    estimate = std::move(*next);
  }
  return estimate;
}

}  // namespace

std::optional<Affine> fit_least_squares(const PairRows& rows,
                                        const Affine& prior, double ridge,
                                        int jobs) {
  const auto error = [&](const Affine& affine) {
    return squared_error(rows.check, affine, rows.bounds, jobs);
  };
  GramSums sums(rows.fit.x.size(0), rows.fit.x.size(2));
  sums.add(rows.fit, jobs);
  const double before = error(prior);
  double best = std::numeric_limits<double>::infinity(), chosen = ridge;
  std::optional<Affine> linear;
  for (int i = 0; i < kRidges; ++i, ridge *= kRidgeStep) {
    auto fitted = Solver(sums, prior, ridge).solve(rows.fit, nullptr, {}, jobs);
    const double found = fitted ? error(*fitted) : best;
    if (!(found < best)) continue;
    best = found;
    chosen = ridge;
    linear = std::move(fitted);
  }
  if (!linear) return std::nullopt;
  // What was better so far is where the alternation starts.
  const bool from_prior = before < best;
  bool refined = false;
  if (rows.bounds.any()) {
    const auto fitted =
        Solver(sums, prior, chosen)
            .refine(rows.fit, from_prior ? prior : *linear, rows.bounds, jobs);
    const double found = fitted ? error(*fitted) : best;
    refined = found < best;
    best = std::min(best, found);
  }
  if (!(best < before)) return std::nullopt;
  if (rows.all.size() > rows.fit.size()) sums.add(rows.check, jobs);
  const Solver solver(sums, prior, chosen);
  auto result = solver.solve(rows.all, nullptr, {}, jobs);
  if (!result || !refined) return result;
  return solver.refine(rows.all, from_prior ? prior : *result, rows.bounds,
                       jobs);
}

}  // namespace lathe::prune
