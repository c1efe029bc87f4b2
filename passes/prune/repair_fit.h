// Fits a product to rows of inputs and of wanted results.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "passes/prune/repair_product.h"

namespace lathe::prune {

struct Rows {
  at::Tensor x;        // float [groups, rows, features]
  at::Tensor y;        // float [rows, outputs]: the dense model's result
  at::Tensor around;   // likewise: what is added behind; undefined: nothing,
  at::Tensor lacking;  // and by how much that is less than in the dense model

  int64_t size() const { return y.size(0); }
  Rows slice(int64_t begin, int64_t end) const;
  // What the result should be.
  at::Tensor wanted() const { return lacking.defined() ? y + lacking : y; }
  // `result` and what is added to it.
  at::Tensor added(const at::Tensor& result) const {
    return around.defined() ? result + around : result;
  }
};

// What the result (and what is added to it) is bounded by afterwards: a Relu's
// or Clip's. Beyond a bound it has no effect.
struct Bounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool any() const;
};

// A product in float.
class Evaluation {
 public:
  explicit Evaluation(const Affine& affine);
  at::Tensor operator()(const Rows& rows) const;  // [rows, outputs]

 private:
  at::Tensor weights_, intercept_;
};

constexpr int64_t kRowsAtOnce = 2048;

// Adds up, in double and in order, what `body` gives for kRowsAtOnce rows at a
// time: the same sum for any number of jobs.
at::Tensor sum_over(const Rows& rows, int jobs,
                    const std::function<at::Tensor(const Rows&)>& body);

// Mean over the rows of the sum over outputs of (bounded result - bounded
// wanted())^2.
double squared_error(const Rows& rows, const Affine& affine, Bounds bounds,
                     int jobs);

// `all` holds `fit` and `check`, which are of different samples.
struct PairRows {
  Rows all, fit, check;
  Bounds bounds;
};

// More features than this are not fitted: their sums would take too much.
constexpr int64_t kMostFeatures = 5120;

// Least squares on all rows, with that of five ridges, from `ridge` to about
// a million times it, that does best on rows.check. Nullopt where none does
// better than `prior` there.
std::optional<Affine> fit_least_squares(const PairRows& rows,
                                        const Affine& prior, double ridge,
                                        int jobs);

// `now`, scaled and shifted so that each output has the mean and the standard
// deviation of y. An output that is constant is only shifted.
Affine match_moments(const Rows& rows, const Affine& now, int jobs);

}  // namespace lathe::prune
