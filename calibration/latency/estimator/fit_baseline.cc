#include "calibration/latency/estimator/fit_baseline.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "calibration/latency/estimator/rounding.h"

namespace lathe::latency {
namespace {

using Matrix = Eigen::Matrix<double, kTerms, kTerms>;
using Vector = Eigen::Matrix<double, kTerms, 1>;

// No device that runs networks asks for more: microseconds, and microseconds a
// flop, byte, run, …, in the order of kTermNames. What few points leave open
// does not grow beyond reason.
constexpr Terms kDearest = {1000, 0.01, 0.01, 0.01, 0.01, 0.02,
                            0.01, 0.2,  0.1,  0.1,  0.1,  0.01,
                            10,   0.2,  1,    0.2,  0.01, 0.02};

// The order of magnitude of a price, in microseconds: what a point or two leave
// open stays near it. Some devices are ten times slower, which the data say.
constexpr Terms kUsual = {1,    3e-5, 3e-5, 2e-4, 2e-4, 2e-4, 2e-4, 2e-2, 5e-4,
                          1e-3, 1e-3, 1e-4, 2e-2, 1e-3, 5e-3, 1e-3, 1e-4, 1e-4};
constexpr double kUsualPull = 0.01;  // points

// min x'Ax - 2 b'x, 0 <= x <= most, one coordinate at a time.
Vector solve_bounded(const Matrix& a, const Vector& b, const Vector& most,
                     Vector x) {
  for (int sweep = 0; sweep < 2000; ++sweep) {
    double moved = 0;
    for (int i = 0; i < static_cast<int>(kTerms); ++i) {
      if (a(i, i) <= 0) continue;
      double next =
          std::clamp(x[i] + (b[i] - a.row(i).dot(x)) / a(i, i), 0.0, most[i]);
      moved = std::max(moved, std::abs(next - x[i]));
      x[i] = next;
    }
    if (moved < 1e-9) break;
  }
  return x;
}

}  // namespace

double priced(const Terms& prices, const Terms& terms) {
  double sum = 0;
  for (size_t i = 0; i < kTerms; ++i) sum += prices[i] * terms[i];
  return std::max(sum, kLeastTime);
}

Terms fit_prices(const std::vector<PricedPoint>& points, const Terms& prior,
                 double pull) {
  constexpr int kRounds = 6;
  constexpr double kRobust = 0.25;  // of log error, where Huber's loss bends
  Vector scale = Vector::Zero();
  double total = 0;
  for (const PricedPoint& point : points) {
    total += point.weight;
    for (size_t i = 0; i < kTerms; ++i) {
      double ratio = point.terms[i] / std::max(point.time_us, kLeastTime);
      scale[static_cast<Eigen::Index>(i)] += point.weight * ratio * ratio;
    }
  }
  scale = (scale / std::max(total, 1e-9)).cwiseSqrt();
  Vector x = Vector::Zero(), target = Vector::Zero(), most = Vector::Zero();
  for (size_t i = 0; i < kTerms; ++i) {
    auto j = static_cast<Eigen::Index>(i);
    target[j] = prior[i] * scale[j];
    most[j] = kDearest[i] * scale[j];
  }
  Terms prices = prior;
  for (int round = 0; round < kRounds; ++round) {
    Matrix a = Matrix::Zero();
    Vector b = Vector::Zero();
    for (const PricedPoint& point : points) {
      double time = std::max(point.time_us, kLeastTime);
      double weight = point.weight, middle = time;
      if (round > 0) {
        // Dividing by the geometric mean of both makes over- and
        // underestimates count alike.
        double guess = priced(prices, point.terms);
        middle = std::sqrt(time * std::clamp(guess, time / 3, time * 3));
        // In the unit of the point's own noise.
        double error =
            std::abs(std::log(guess / time)) * std::sqrt(point.weight);
        weight *= std::min(1.0, kRobust / std::max(error, 1e-9));
      }
      Vector row;
      for (size_t i = 0; i < kTerms; ++i) {
        auto j = static_cast<Eigen::Index>(i);
        row[j] = scale[j] > 0 ? point.terms[i] / scale[j] / middle : 0;
      }
      a += weight * row * row.transpose();
      b += weight * (time / middle) * row;
    }
    for (Eigen::Index i = 0; i < static_cast<Eigen::Index>(kTerms); ++i) {
      if (scale[i] <= 0) continue;
      double usual = kUsual[static_cast<size_t>(i)] * scale[i];
      a(i, i) += kUsualPull / (usual * usual);
      double ridge = pull > 0 ? pull : 1e-4 * total;
      a(i, i) += ridge;
      b[i] += pull > 0 ? ridge * target[i] : 0;
    }
    x = solve_bounded(a, b, most, x);
    for (size_t i = 0; i < kTerms; ++i) {
      auto j = static_cast<Eigen::Index>(i);
      prices[i] = scale[j] > 0 ? x[j] / scale[j] : pull > 0 ? prior[i] : 0;
    }
  }
  for (double& price : prices) price = rounded(price, 6);
  return prices;
}

}  // namespace lathe::latency
