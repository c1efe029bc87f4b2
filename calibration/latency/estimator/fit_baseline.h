// The first model of a kernel's time: a sum of physical quantities, each with a
// price. Internal to the estimator.
#pragma once

#include <vector>

#include "calibration/latency/estimator/features.h"

namespace lathe::latency {

struct PricedPoint {
  Terms terms{};
  double time_us = 0;
  double weight = 1;
};

// What a kernel costs at these prices, never below kLeastTime.
inline constexpr double kLeastTime = 0.02;
double priced(const Terms& prices, const Terms& terms);

// Prices of at least 0 that bring the points' errors of log(time + kShortUs)
// to a minimum, robustly; pulled towards `prior` as by `pull` points of its own
// where pull is above 0. Rounded as stored.
Terms fit_prices(const std::vector<PricedPoint>& points,
                 const Terms& prior = {}, double pull = 0);

}  // namespace lathe::latency
