// Exponential averages of each sample's extremes, as PyTorch's
// MovingAverageMinMaxObserver has them, but without the first sample's lasting
// weight: the average of x_1 ... x_n weighs x_i by c (1 - c)^(n - i) and is
// divided by the sum of the weights, 1 - (1 - c)^n (Kingma and Ba, Adam, 2015,
// section 3). Over few samples that is nearly their plain mean.
#include <algorithm>
#include <cmath>

#include "calibration/ranges/observer.h"

namespace lathe::ranges {
namespace {

constexpr double kConstant = 0.01;

class MovingAverage final : public Observer {
 public:
  void follow(const FiniteRange& batch) override {
    if (!batch.any_finite()) return;
    const auto move = [](double& average, double value) {
      average += kConstant * (value - average);
    };
    move(min_, batch.min);
    move(max_, batch.max);
    move(weight_, 1);
  }

  void pass_over(int64_t batches) override {
    const double kept = std::pow(1 - kConstant, static_cast<double>(batches));
    for (double* average : {&min_, &max_, &weight_}) *average *= kept;
  }
  void save(ByteWriter& to) const override {
    for (double average : {min_, max_, weight_}) to.add(average);
  }
  // A sum that every rank's batches add to, each at its own place.
  void merge(ByteReader& from) override {
    for (double* average : {&min_, &max_, &weight_})
      *average += from.next<double>();
  }

  Range range(const FiniteRange& all, const ObserverOptions&) const override {
    const auto bound = [&](double average) {
      return std::clamp(static_cast<float>(average / weight_), all.min,
                        all.max);
    };
    return {bound(min_), bound(max_)};
  }

 private:
  double min_ = 0, max_ = 0, weight_ = 0;
};

}  // namespace

std::unique_ptr<Observer> make_moving_average() {
  return std::make_unique<MovingAverage>();
}

}  // namespace lathe::ranges
