#include "calibration/latency/probe/profiler_cost.h"

#include <algorithm>
#include <cmath>

namespace lathe::latency {
namespace {

// Of the profiler's cost, each further input. Chains of Max with 1 to 16 inputs
// took 3.1 to 6.1 us a node more with the profiler.
constexpr double kEachInput = 0.07;
// How far two sessions of one network differ, of its time: they lie elsewhere
// in memory. That is no cost of the profiler.
constexpr double kTotalSd = 0.03;
// How much the cost differs between networks.
constexpr double kCostSd = 0.2;
constexpr float kLeastUs = 0.1f;

double weight(int inputs) { return 1 + kEachInput * std::max(0, inputs - 1); }

double median(std::vector<double> values) {
  auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

ProfilerCost::Cost ProfilerCost::cost_of(const ProfiledSample& profiled) {
  const NetworkSample& sample = profiled.sample;
  double weights = 0;
  for (int inputs : profiled.inputs) weights += weight(inputs);
  std::vector<double> costs, totals;
  for (size_t round = 0; round < sample.totals_us.size(); ++round) {
    double sum = 0;
    for (const KernelSample& kernel : sample.kernels)
      sum += kernel.times_us[round];
    totals.push_back(sample.totals_us[round]);
    costs.push_back((sum - sample.totals_us[round]) / weights);
  }
  return {median(std::move(costs)),
          kTotalSd * median(std::move(totals)) / weights};
}

void ProfilerCost::learn(const ProfiledSample& profiled) {
  costs_.push_back(cost_of(profiled));
}

double ProfilerCost::usual_us() const {
  std::vector<Cost> costs = costs_;
  // The better known half.
  std::sort(costs.begin(), costs.end(),
            [](const Cost& a, const Cost& b) { return a.sd_us < b.sd_us; });
  std::vector<double> known;
  for (size_t i = 0; i < (costs.size() + 1) / 2; ++i)
    known.push_back(costs[i].us);
  return known.empty() ? 0 : std::max(0.0, median(std::move(known)));
}

NetworkSample ProfilerCost::corrected(ProfiledSample profiled) const {
  double usual = usual_us();
  Cost own = cost_of(profiled);
  double usual_precision = 1 / std::pow(kCostSd * usual + 0.05, 2);
  double own_precision = 1 / std::pow(own.sd_us + 0.05, 2);
  double cost = (usual * usual_precision + own.us * own_precision) /
                (usual_precision + own_precision);
  cost = std::max(cost, 0.0);
  NetworkSample sample = std::move(profiled.sample);
  for (size_t i = 0; i < sample.kernels.size(); ++i) {
    auto taken = static_cast<float>(cost * weight(profiled.inputs[i]));
    for (float& time : sample.kernels[i].times_us)
      time = std::max(time - taken, kLeastUs);
  }
  return sample;
}

}  // namespace lathe::latency
