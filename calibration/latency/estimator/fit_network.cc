#include "calibration/latency/estimator/fit_network.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "calibration/latency/estimator/fit.h"
#include "calibration/latency/estimator/rounding.h"

namespace lathe::latency {
namespace {

// Below this the clock, the call and the profiler blur a time.
constexpr double kClockUs = 8;

double sum_of(const std::vector<KernelPrediction>& kernels) {
  double sum = 0;
  for (const KernelPrediction& kernel : kernels)
    sum += std::exp(kernel.mean_log_us);
  return sum;
}

double quantile_of(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  double at = std::clamp(q, 0.0, 1.0) * static_cast<double>(values.size() - 1);
  auto low = static_cast<size_t>(at);
  size_t high = std::min(low + 1, values.size() - 1);
  return values[low] +
         (at - static_cast<double>(low)) * (values[high] - values[low]);
}

// scale, node_us and fixed_us by least squares of relative errors, large ones
// counting by their size only; drawn a little towards (1, 0, 0).
void fit_middle(NetworkModel& model, const std::vector<NetworkCase>& cases) {
  using Vector = Eigen::Vector3d;
  Vector x(1, 0, 0);
  for (int round = 0; round < 12; ++round) {
    Eigen::Matrix3d a = Eigen::Matrix3d::Zero();
    Vector b = Vector::Zero();
    for (const NetworkCase& c : cases) {
      Vector row(sum_of(c.kernels), static_cast<double>(c.kernels.size()), 1);
      double guess = std::max(row.dot(x), 0.1 * row[0] + 0.1);
      double unit = std::sqrt(c.measured_us * guess) + kClockUs;
      double error = std::abs(guess - c.measured_us) / unit;
      double weight = std::min(1.0, 0.05 / std::max(error, 1e-9)) / c.noise;
      row /= unit;
      a += weight * row * row.transpose();
      b += weight * (c.measured_us / unit) * row;
    }
    // In the units of relative error: a scale off by 0.05, a node by 0.3 us and
    // a call by 5 us count like a case each.
    Vector ridge(0.25, 2e-5 * 25, 2e-5);
    a += ridge.asDiagonal();
    b += ridge.cwiseProduct(Vector(1, 0, 0));
    x = a.ldlt().solve(b);
  }
  model.scale = rounded(std::clamp(x[0], 0.5, 2.0), 6);
  model.node_us = rounded(std::clamp(x[1], -10.0, 10.0), 6);
  model.fixed_us = rounded(std::clamp(x[2], -20.0, 100.0), 6);
}

// The likeliest of a grid, under Student's t with 4 degrees of freedom, which
// a few wild cases do not pull along.
void fit_spread(NetworkModel& model, const std::vector<NetworkCase>& cases) {
  double best = -1e300;
  NetworkModel chosen = model;
  for (double shared : {0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.09})
    for (double linear : {0.0, 0.15, 0.3, 0.45, 0.6})
      for (double own : {0.5, 1.0, 1.5, 2.0})
        for (double absolute : {0.5, 1.0, 2.0, 4.0, 8.0}) {
          NetworkModel trial = model;
          trial.shared = shared;
          trial.linear = linear;
          trial.own = own;
          trial.absolute_us = absolute;
          double value = -0.5 * std::pow(std::log(shared / 0.02) / 1.0, 2) -
                         0.5 * std::pow((linear - 0.2) / 0.4, 2) -
                         0.5 * std::pow(std::log(own) / 0.7, 2) -
                         0.5 * std::pow(std::log(absolute / 2) / 1.0, 2);
          for (const NetworkCase& c : cases) {
            double time = trial.time_us(c.kernels);
            double sd = trial.sd_log(c.kernels, time);
            double z = std::log(c.measured_us / time) / sd;
            value -= (std::log(sd) + 2.5 * std::log1p(z * z / 4)) / c.noise;
          }
          if (value > best) {
            best = value;
            chosen = trial;
          }
        }
  model = chosen;
}

// Of held-out random networks, so that 90% of the networks of other
// architectures are inside, whose errors are a little larger.
constexpr double kInside = 0.93;

// How many sd leave out half of the rest on either side: both sides together,
// then a half of the way to each alone.
void fit_reach(NetworkModel& model, const std::vector<NetworkCase>& cases) {
  std::vector<double> both, signed_z;
  for (const NetworkCase& c : cases) {
    if (c.noise > kMostQuietNoise) continue;
    double time = model.time_us(c.kernels);
    double z = std::log(c.measured_us / time) / model.sd_log(c.kernels, time);
    both.push_back(std::abs(z));
    signed_z.push_back(z);
  }
  if (both.size() < 10) return;
  // As if one more case had been worse than all (conformal prediction).
  double n = static_cast<double>(both.size());
  double share = std::min(1.0, kInside * (n + 1) / n);
  double reach = std::clamp(quantile_of(both, share), 0.8, 4.0);
  const double tail = (1 - kInside) / 2;
  double low = -quantile_of(signed_z, tail),
         high = quantile_of(signed_z, 1 - tail);
  model.reach_low = rounded(std::clamp((reach + low) / 2, 0.6 * reach, 4.0), 5);
  model.reach_high =
      rounded(std::clamp((reach + high) / 2, 0.6 * reach, 4.0), 5);
}

}  // namespace

double NetworkModel::time_us(
    const std::vector<KernelPrediction>& kernels) const {
  double sum = sum_of(kernels);
  double time =
      scale * sum + node_us * static_cast<double>(kernels.size()) + fixed_us;
  return std::max(time, 0.2 * sum + 0.5);
}

double NetworkModel::sd_log(const std::vector<KernelPrediction>& kernels,
                            double time) const {
  double squares = 0, mean = 0, unseen = 0;
  double sum = std::max(sum_of(kernels), 1e-6);
  for (const KernelPrediction& kernel : kernels) {
    double part = std::exp(kernel.mean_log_us) / sum * kernel.sd_log;
    if (!kernel.seen) {
      unseen += part;
      continue;
    }
    squares += part * part;
    mean += part;
  }
  double clock = absolute_us / time;
  double variance = shared * shared + linear * linear * mean * mean +
                    own * own * squares + unseen * unseen + clock * clock;
  return std::sqrt(variance);
}

NetworkPrediction NetworkModel::predict(
    const std::vector<KernelPrediction>& kernels) const {
  if (kernels.empty()) return {};
  NetworkPrediction prediction;
  prediction.p50_us = time_us(kernels);
  double sd = sd_log(kernels, prediction.p50_us);
  prediction.p5_us = prediction.p50_us * std::exp(-reach_low * sd);
  prediction.p95_us = prediction.p50_us * std::exp(reach_high * sd);
  return prediction;
}

NetworkModel fit_network_model(const std::vector<NetworkCase>& cases) {
  NetworkModel model;
  fit_middle(model, cases);
  fit_spread(model, cases);
  fit_reach(model, cases);
  return model;
}

}  // namespace lathe::latency
