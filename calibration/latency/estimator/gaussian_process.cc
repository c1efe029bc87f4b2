#include "calibration/latency/estimator/gaussian_process.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>

#include "calibration/latency/estimator/gaussian_process_tuning.h"
#include "calibration/latency/estimator/rounding.h"

namespace lathe::latency {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;
using process::Hyper;
using process::kJitter;
using process::kSqrt5;
using process::matern;
using process::rows_of;
using process::squared_distances;

constexpr double kPointUnit = 1e-2, kNoiseUnit = 1e-2;

// `count` rows that lie far from each other, the first nearest to the middle:
// each next is the one farthest from those chosen.
std::vector<int> farthest_first(const MatrixXd& x, int count) {
  const auto n = static_cast<int>(x.rows());
  count = std::min(count, n);
  std::vector<int> chosen;
  VectorXd nearest = VectorXd::Constant(n, 1e300);
  Eigen::Index next = 0;
  x.rowwise().squaredNorm().minCoeff(&next);
  while (static_cast<int>(chosen.size()) < count) {
    chosen.push_back(static_cast<int>(next));
    VectorXd d = (x.rowwise() - x.row(next)).rowwise().squaredNorm();
    nearest = nearest.cwiseMin(d);
    for (int i : chosen) nearest[i] = -1;
    nearest.maxCoeff(&next);
  }
  return chosen;
}

// Drops the features along which the function hardly varies.
void keep_inputs(MatrixXd& x, const Hyper& hyper, GaussianProcessState& state) {
  constexpr double kFlat = 25;  // a length scale, in standard deviations
  GaussianProcessState kept;
  std::vector<Eigen::Index> columns;
  Eigen::Index shortest = 0;
  hyper.length.minCoeff(&shortest);
  for (Eigen::Index c = 0; c < x.cols(); ++c) {
    double length = std::exp(hyper.length[c]);
    if (length > kFlat && c != shortest) continue;
    auto i = static_cast<size_t>(c);
    kept.inputs.push_back(static_cast<int>(c));
    kept.mean.push_back(state.mean[i]);
    kept.scale.push_back(state.scale[i]);
    kept.length.push_back(rounded(length, 4));
    columns.push_back(c);
  }
  MatrixXd narrow(x.rows(), static_cast<Eigen::Index>(columns.size()));
  for (size_t i = 0; i < columns.size(); ++i)
    narrow.col(static_cast<Eigen::Index>(i)) = x.col(columns[i]);
  x = std::move(narrow);
  kept.offset = state.offset;
  state = std::move(kept);
}

// The stored points, in units of the length scales.
MatrixXd stored_points(const GaussianProcessState& state) {
  MatrixXd z(static_cast<Eigen::Index>(state.points.size()),
             static_cast<Eigen::Index>(state.length.size()));
  for (Eigen::Index i = 0; i < z.rows(); ++i)
    for (Eigen::Index c = 0; c < z.cols(); ++c) {
      auto column = static_cast<size_t>(c);
      z(i, c) = state.points[static_cast<size_t>(i)][column] * kPointUnit /
                state.length[column];
    }
  return z;
}

}  // namespace

GaussianProcess GaussianProcess::fit(const RegressionData& data,
                                     const GaussianProcessOptions& options) {
  GaussianProcessState state;
  MatrixXd x = data.features;
  for (Eigen::Index c = 0; c < x.cols(); ++c) {
    double mean = rounded(x.col(c).mean(), 5);
    double sd = std::sqrt((x.col(c).array() - mean).square().mean());
    sd = rounded(std::max(sd, 1e-3), 5);
    x.col(c) = (x.col(c).array() - mean) / sd;
    state.mean.push_back(mean);
    state.scale.push_back(sd);
  }
  state.offset = rounded(data.target.mean(), 5);
  VectorXd y = data.target.array() - state.offset;
  Hyper hyper = process::tune(x, y, data, options);
  keep_inputs(x, hyper, state);
  const Eigen::Index d = x.cols();
  state.amplitude = rounded(std::exp(hyper.amplitude), 5);
  state.noise = rounded(std::exp(hyper.noise), 5);
  const double shared2 = std::exp(2 * hyper.shared);

  // As stored from here on.
  auto n = static_cast<int>(x.rows());
  std::vector<int> rows = process::thinned(n, options.most_points);
  VectorXd inverse_length(d);
  for (Eigen::Index c = 0; c < d; ++c)
    inverse_length[c] = 1 / state.length[static_cast<size_t>(c)];
  std::vector<int> first = farthest_first(
      rows_of(x, rows) * inverse_length.asDiagonal(), options.variance_points);
  std::vector<bool> is_first(rows.size(), false);
  std::vector<int> order;
  for (int i : first) {
    is_first[static_cast<size_t>(i)] = true;
    order.push_back(rows[static_cast<size_t>(i)]);
  }
  for (size_t i = 0; i < rows.size(); ++i)
    if (!is_first[i]) order.push_back(rows[i]);
  state.variance_points = static_cast<int>(first.size());
  for (int row : order) {
    std::vector<int> point;
    for (Eigen::Index c = 0; c < d; ++c)
      point.push_back(static_cast<int>(std::lround(x(row, c) / kPointUnit)));
    state.points.push_back(std::move(point));
    state.point_noise.push_back(static_cast<int>(
        std::lround(std::clamp(data.noise[row], 0.01, 1e4) / kNoiseUnit)));
  }
  state.weights.assign(order.size(), 0);
  n = static_cast<int>(order.size());
  MatrixXd z = stored_points(state);
  VectorXd noise(n);
  for (int i = 0; i < n; ++i)
    noise[i] = state.point_noise[static_cast<size_t>(i)] * kNoiseUnit;
  double amplitude2 = state.amplitude * state.amplitude;
  MatrixXd covariance =
      amplitude2 * matern(squared_distances(z, z)) +
      shared2 * process::same_group(process::groups_of(data.group, order));
  covariance.diagonal().array() += kJitter * amplitude2;
  // Student's t noise by expectation and maximisation: a point that its
  // neighbours contradict loses its weight. A posterior residual is the noise's
  // variance times the point's weight.
  VectorXd targets = rows_of(y, order);
  const double noise2 = state.noise * state.noise;
  VectorXd inflated = noise;
  VectorXd alpha;
  constexpr int kRounds = 3;
  constexpr double kDegrees = 4;
  for (int round = 0; round < kRounds; ++round) {
    MatrixXd all = covariance;
    all.diagonal() += noise2 * inflated;
    alpha = all.llt().solve(targets);
    if (round + 1 == kRounds) break;
    for (int i = 0; i < n; ++i) {
      double residual = noise2 * inflated[i] * alpha[i];
      double z2 = residual * residual / (noise2 * noise[i]);
      inflated[i] = noise[i] * std::max(1.0, (kDegrees + z2) / (kDegrees + 1));
    }
  }
  for (int i = 0; i < n; ++i) {
    auto at = static_cast<size_t>(i);
    state.weights[at] = rounded(alpha[i], 5);
    state.point_noise[at] =
        static_cast<int>(std::lround(std::min(inflated[i], 1e4) / kNoiseUnit));
  }
  return GaussianProcess(std::move(state));
}

GaussianProcess::GaussianProcess(GaussianProcessState state)
    : state_(std::move(state)) {
  const auto n = static_cast<Eigen::Index>(state_.points.size());
  const auto d = static_cast<Eigen::Index>(state_.length.size());
  const auto m = static_cast<Eigen::Index>(state_.variance_points);
  points_.resize(n, d);
  weights_.resize(n);
  shift_.resize(d);
  factor_.resize(d);
  for (Eigen::Index c = 0; c < d; ++c) {
    auto i = static_cast<size_t>(c);
    double factor = kSqrt5 / (state_.scale[i] * state_.length[i]);
    factor_[c] = static_cast<float>(factor);
    shift_[c] = static_cast<float>(-state_.mean[i] * factor);
  }
  MatrixXd z = stored_points(state_);
  points_ = (kSqrt5 * z).cast<float>();
  for (Eigen::Index i = 0; i < n; ++i)
    weights_[i] = static_cast<float>(state_.weights[static_cast<size_t>(i)] *
                                     state_.amplitude * state_.amplitude);
  // With the variance points u and all points f, S their noise: the variance is
  // 1 - k' (K_uu^-1 - (K_uu + K_uf S^-1 K_fu)^-1) k in units of the amplitude
  // (Quinonero-Candela and Rasmussen 2005, deterministic training conditional).
  constexpr double kSteady = 1e-3;
  MatrixXd top = z.topRows(m);
  MatrixXd k = matern(squared_distances(top, top));
  k.diagonal().array() += kSteady;
  MatrixXd cross = matern(squared_distances(top, z));
  double relative = state_.noise / state_.amplitude;
  VectorXd precision(n);
  for (Eigen::Index i = 0; i < n; ++i)
    precision[i] =
        1 / (relative * relative * state_.point_noise[static_cast<size_t>(i)] *
                 kNoiseUnit +
             kSteady);
  MatrixXd seen = k + cross * precision.asDiagonal() * cross.transpose();
  MatrixXd identity = MatrixXd::Identity(m, m);
  explained_ =
      (k.llt().solve(identity) - seen.llt().solve(identity)).cast<float>();
}

GaussianProcess::Prediction GaussianProcess::predict(
    const float* features) const {
  const Eigen::Index n = points_.rows(), d = points_.cols();
  thread_local Eigen::ArrayXf r, k;
  r.setZero(n);
  for (Eigen::Index c = 0; c < d; ++c)
    r += (points_.col(c) -
          (features[state_.inputs[static_cast<size_t>(c)]] * factor_[c] +
           shift_[c]))
             .square();
  r = r.sqrt();
  k = (1 + r + r.square() / 3) * (-r).exp();
  Prediction prediction;
  prediction.mean = state_.offset + (k * weights_).sum();
  auto head = k.head(state_.variance_points).matrix();
  double explained = head.dot(explained_ * head);
  prediction.variance =
      state_.amplitude * state_.amplitude * std::clamp(1 - explained, 0.0, 1.0);
  return prediction;
}

}  // namespace lathe::latency
