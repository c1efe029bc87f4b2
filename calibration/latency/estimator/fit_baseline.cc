#include "calibration/latency/estimator/fit_baseline.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>

#include "calibration/latency/estimator/kernel_predictor_model.h"
#include "calibration/latency/estimator/rounding.h"

namespace lathe::latency {
namespace {

using Matrix = Eigen::Matrix<double, kTerms, kTerms>;
using Vector = Eigen::Matrix<double, kTerms, 1>;

// What a point or two leave open stays near the usual price: so many points'
// worth. Some devices are ten times slower, which the data say.
constexpr double kUsualPull = 0.01;

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
  const double total = static_cast<double>(points.size());
  for (const PricedPoint& point : points) {
    for (size_t i = 0; i < kTerms; ++i) {
      double ratio = point.terms[i] / (point.time_us + kShortUs);
      scale[static_cast<Eigen::Index>(i)] += ratio * ratio;
    }
  }
  scale = (scale / std::max(total, 1e-9)).cwiseSqrt();
  Vector x = Vector::Zero(), target = Vector::Zero(), most = Vector::Zero();
  for (size_t i = 0; i < kTerms; ++i) {
    auto j = static_cast<Eigen::Index>(i);
    target[j] = prior[i] * scale[j];
    most[j] = kTermRows[i].dearest_us * scale[j];
  }
  Terms prices = prior;
  for (int round = 0; round < kRounds; ++round) {
    Matrix a = Matrix::Zero();
    Vector b = Vector::Zero();
    for (const PricedPoint& point : points) {
      const double time = point.time_us;
      double weight = point.weight, middle = time + kShortUs;
      if (round > 0) {
        // Dividing by the geometric mean of both makes over- and
        // underestimates count alike.
        double guess = priced(prices, point.terms);
        middle = std::sqrt(middle *
                           (std::clamp(guess, time / 3, time * 3) + kShortUs));
        double error = std::abs(soft_log(guess) - soft_log(time));
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
      double usual = kTermRows[static_cast<size_t>(i)].usual_us * scale[i];
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
