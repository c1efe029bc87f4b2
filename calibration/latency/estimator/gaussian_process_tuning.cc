#include "calibration/latency/estimator/gaussian_process_tuning.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::latency::process {
namespace {

using Eigen::ArrayXXd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

struct Prior {
  double mean = 0, sd = 1;
};

// The log marginal likelihood plus the priors' log density, and its gradient.
struct Objective {
  const MatrixXd& x;  // standardised
  const VectorXd& y;
  const VectorXd& noise;
  const MatrixXd& same;
  Prior length, amplitude, spread, shared;

  double operator()(Hyper hyper, VectorXd& gradient) const {
    const Eigen::Index n = x.rows(), d = x.cols();
    VectorXd inverse_length = (-hyper.length).array().exp();
    MatrixXd scaled = x * inverse_length.asDiagonal();
    double amplitude2 = std::exp(2 * hyper.amplitude);
    double noise2 = std::exp(2 * hyper.noise);
    double shared2 = std::exp(2 * hyper.shared);
    ArrayXXd r = kSqrt5 * squared_distances(scaled, scaled).array().sqrt();
    ArrayXXd e = (-r).exp();
    MatrixXd k = amplitude2 * (1 + r + r.square() / 3) * e;
    MatrixXd covariance = k + shared2 * same;
    covariance.diagonal() += noise2 * noise;
    covariance.diagonal().array() += kJitter * amplitude2;
    Eigen::LLT<MatrixXd> llt(covariance);
    gradient = VectorXd::Zero(hyper.size());
    if (llt.info() != Eigen::Success)
      return -std::numeric_limits<double>::infinity();
    MatrixXd inverse = llt.solve(MatrixXd::Identity(n, n));
    VectorXd alpha = inverse * y;
    double log_det = 2 * llt.matrixLLT().diagonal().array().log().sum();
    double value = -0.5 * (y.dot(alpha) + log_det);
    MatrixXd w = alpha * alpha.transpose() - inverse;  // 2 d value / d K
    // d k_ij / d log length_c = (5/3) a^2 (1 + r) e^-r (x_ic - x_jc)^2 / l_c^2.
    MatrixXd g = w.array() * ((5.0 / 3) * amplitude2 * (1 + r) * e);
    VectorXd sums = g.rowwise().sum();
    MatrixXd gx = g * scaled;
    for (Eigen::Index c = 0; c < d; ++c)
      gradient[c] = scaled.col(c).array().square().matrix().dot(sums) -
                    scaled.col(c).dot(gx.col(c));
    gradient[d] = w.cwiseProduct(k).sum() + w.trace() * kJitter * amplitude2;
    gradient[d + 1] = noise2 * w.diagonal().dot(noise);
    gradient[d + 2] = shared2 * w.cwiseProduct(same).sum();
    auto prior = [&](int i, const Prior& p) {
      double z = (hyper.at(i) - p.mean) / p.sd;
      value -= 0.5 * z * z;
      gradient[i] -= z / p.sd;
    };
    int features = static_cast<int>(d);
    for (int c = 0; c < features; ++c) prior(c, length);
    prior(features, amplitude);
    prior(features + 1, spread);
    prior(features + 2, shared);
    return value;
  }
};

// Rprop with weight backtracking left out (Igel and Huesken 2000, iRprop-):
// needs no step length, and keeps the best point seen.
Hyper maximise(const Objective& objective, Hyper hyper, int steps) {
  const int n = hyper.size();
  VectorXd step = VectorXd::Constant(n, 0.15), last = VectorXd::Zero(n);
  VectorXd gradient;
  Hyper best = hyper;
  double best_value = -std::numeric_limits<double>::infinity();
  for (int i = 0; i < steps; ++i) {
    double value = objective(hyper, gradient);
    if (value > best_value) {
      best_value = value;
      best = hyper;
    }
    if (!std::isfinite(value)) {
      hyper = best;
      step *= 0.3;
      continue;
    }
    for (int j = 0; j < n; ++j) {
      double agreement = gradient[j] * last[j];
      if (agreement > 0) step[j] = std::min(step[j] * 1.3, 0.8);
      if (agreement < 0) {
        step[j] = std::max(step[j] * 0.5, 1e-3);
        gradient[j] = 0;
      }
      double move = gradient[j] > 0 ? step[j] : gradient[j] < 0 ? -step[j] : 0;
      hyper.at(j) = std::clamp(hyper.at(j) + move, -8.0, 8.0);
      last[j] = gradient[j];
    }
  }
  return best;
}

}  // namespace

MatrixXd squared_distances(const MatrixXd& a, const MatrixXd& b) {
  VectorXd aa = a.rowwise().squaredNorm(), bb = b.rowwise().squaredNorm();
  MatrixXd d = -2 * a * b.transpose();
  d.colwise() += aa;
  d.rowwise() += bb.transpose();
  return d.cwiseMax(0);
}

MatrixXd matern(const MatrixXd& squared) {
  ArrayXXd r = kSqrt5 * squared.array().sqrt();
  return (1 + r + r.square() / 3) * (-r).exp();
}

MatrixXd same_group(const std::vector<int>& group) {
  auto n = static_cast<Eigen::Index>(group.size());
  MatrixXd same(n, n);
  for (Eigen::Index i = 0; i < n; ++i)
    for (Eigen::Index j = 0; j < n; ++j)
      same(i, j) =
          group[static_cast<size_t>(i)] == group[static_cast<size_t>(j)] ? 1
                                                                         : 0;
  return same;
}

std::vector<int> thinned(int n, int count) {
  std::vector<int> kept;
  count = std::min(n, count);
  for (int64_t i = 0; i < count; ++i)
    kept.push_back(static_cast<int>(i * n / count));
  return kept;
}

std::vector<int> groups_of(const std::vector<int>& from,
                           const std::vector<int>& rows) {
  std::vector<int> to;
  for (int row : rows) to.push_back(from[static_cast<size_t>(row)]);
  return to;
}

Hyper tune(const MatrixXd& x, const VectorXd& y, const RegressionData& data,
           const GaussianProcessOptions& options) {
  const auto n = static_cast<int>(x.rows());
  std::vector<int> rows = thinned(n, options.tuned_points);
  MatrixXd some = rows_of(x, rows);
  VectorXd targets = rows_of(y, rows), noise = rows_of(data.noise, rows);
  MatrixXd same = same_group(groups_of(data.group, rows));
  double sd = std::sqrt(std::max(targets.array().square().mean(), 1e-6));
  double length = std::log(2 * std::sqrt(static_cast<double>(x.cols())));
  Objective objective{some,
                      targets,
                      noise,
                      same,
                      {length, 1.0},
                      {std::log(std::max(sd, 0.05)), 1.0},
                      {std::log(0.04), 0.7},
                      {std::log(0.03), 0.7}};
  Hyper start;
  start.length = VectorXd::Constant(x.cols(), length);
  start.amplitude = std::log(std::max(sd, 0.05));
  start.noise = std::log(0.05);
  start.shared = std::log(0.03);
  return maximise(objective, start, options.steps);
}

}  // namespace lathe::latency::process
