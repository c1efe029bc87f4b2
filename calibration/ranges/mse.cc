// The range whose quantizer has the least expected squared error over the
// histogram, a bin's elements counting as spread evenly over it.
//
// Zero is a code, so each sign can be priced alone, in magnitudes m. With codes
// at 0, s, 2s … cs, the error is m - s round(m / s) up to cs and m - cs beyond;
// its square has the integral over [0, m], with r = m / s - round(m / s),
//
//   s^3 (round(m / s) / 12 + r^3 / 3)    up to cs,
//   s^3 c / 12 + (m - cs)^3 / 3          beyond,
//
// so a bin costs two values of it. Exact zeros cost nothing.
#include <algorithm>
#include <array>
#include <vector>

#include "calibration/ranges/observer.h"

namespace lathe::ranges {
namespace {

// Bounds are tried at multiples of the extremes' kGrid-th part, both ends
// together and then each alone; from the best, each moves by steps that halve.
constexpr int kGrid = 64;
constexpr int kRounds = 2;
constexpr int kHalvings = 5;

// Sum of squared errors of one sign's elements.
double squared_error(std::span<const uint64_t> bins, double width, double scale,
                     double most_steps) {
  // In units of the scale.
  const double step = width / scale;
  double error = 0, before = 0;
  for (size_t k = 0; k < bins.size(); ++k) {
    const double m = static_cast<double>(k + 1) * step;
    double whole = static_cast<double>(static_cast<int64_t>(m + 0.5));
    whole = std::min(whole, most_steps);
    const double rest = m - whole;
    const double integral = whole / 12 + rest * rest * rest / 3;
    error += static_cast<double>(bins[k]) * (integral - before);
    before = integral;
  }
  return error / step * scale * scale;
}

class Pricer {
 public:
  Pricer(const Histogram& histogram, const ObserverOptions& options)
      : histogram_(histogram),
        options_(options),
        codes_(code_range(options.activation_type)) {}

  // For the range [-below, above].
  double operator()(double below, double above) const {
    const Range range{static_cast<float>(-below), static_cast<float>(above)};
    const Affine affine =
        affine_of(range, options_.activation_type, options_.symmetric);
    const double width = histogram_.bin_width();
    const int32_t least =
        options_.symmetric && codes_.low < 0 ? -codes_.high : codes_.low;
    return squared_error(histogram_.positive(), width, affine.scale,
                         codes_.high - affine.zero_point) +
           squared_error(histogram_.negative(), width, affine.scale,
                         affine.zero_point - least);
  }

 private:
  const Histogram& histogram_;
  const ObserverOptions& options_;
  CodeRange codes_;
};

Range choose(const Histogram& histogram, const ObserverOptions& options) {
  const FiniteRange& all = histogram.range();
  const Pricer price(histogram, options);
  // Magnitudes of both ends; in symmetric ranges they are one.
  std::array<double, 2> extremes{std::max(0.0, -double{all.min}),
                                 std::max(0.0, double{all.max})};
  if (options.symmetric)
    extremes[0] = extremes[1] = std::max(extremes[0], extremes[1]);
  std::array<double, 2> best = extremes;
  double least = price(best[0], best[1]);
  const auto attempt = [&](std::array<double, 2> bounds) {
    if (options.symmetric) bounds[0] = bounds[1];
    if (bounds[0] + bounds[1] <= 0) return;
    const double error = price(bounds[0], bounds[1]);
    if (error >= least) return;
    least = error;
    best = bounds;
  };
  const auto attempt_end = [&](size_t end, double bound) {
    std::array<double, 2> bounds = best;
    bounds[end] = std::clamp(bound, 0.0, extremes[end]);
    attempt(bounds);
  };
  for (int i = kGrid - 1; i > 0; --i)
    attempt({extremes[0] * i / kGrid, extremes[1] * i / kGrid});
  std::vector<size_t> ends;  // that move alone
  for (size_t end : {0, 1})
    if (extremes[end] > 0 && !(options.symmetric && end == 0))
      ends.push_back(end);
  if (ends.size() == 2)
    for (int round = 0; round < kRounds; ++round)
      for (size_t end : ends)
        for (int i = kGrid; i >= 0; --i)
          attempt_end(end, extremes[end] * i / kGrid);
  for (int halving = 1; halving <= kHalvings; ++halving)
    for (size_t end : ends) {
      const double step = extremes[end] / kGrid / (1 << halving);
      const double middle = best[end];
      for (int i : {-2, -1, 1, 2}) attempt_end(end, middle + i * step);
    }
  return {std::max(static_cast<float>(-best[0]), std::min(0.0f, all.min)),
          std::min(static_cast<float>(best[1]), std::max(0.0f, all.max))};
}

}  // namespace

std::unique_ptr<Observer> make_mse() { return make_histogram_observer(choose); }

}  // namespace lathe::ranges
