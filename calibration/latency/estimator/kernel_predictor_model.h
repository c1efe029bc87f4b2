// The fitted step from a kernel to its time. Internal to the estimator.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "calibration/latency/estimator/boosted_trees.h"
#include "calibration/latency/estimator/features.h"
#include "calibration/latency/estimator/gaussian_process.h"
#include "calibration/latency/estimator/kernel_predictor.h"

namespace lathe::latency {

// A kind's share in a cell.
struct KindPrices {
  int64_t samples = 0;
  Terms prices{};
};

// Kernels that one regressor predicts: prices, and the logarithm of time over
// price from a Gaussian process and boosted trees.
struct Cell {
  std::map<std::string, KindPrices> kinds;
  Terms prices{};  // of kinds that were not measured
  // What the regressors see, in order: indices into kFeatureRows, then the
  // logarithm of the price and the share in it of arithmetic and of weights,
  // then 1 for each kind of this list that is the kernel's, 0 for the others.
  std::vector<int> features;
  std::vector<std::string> told_kinds;
  std::optional<GaussianProcess> process;
  std::optional<BoostedTrees> trees;
  double process_share = 0.4;  // the trees have the rest
  double spread = 0.3;         // sd of log error where there is no process
  double spread_scale = 1;     // calibrates sd_log

  size_t inputs() const { return features.size() + 3 + told_kinds.size(); }
  // Writes inputs() values.
  void describe(const KernelDescriptor& kernel, const Terms& terms,
                const Features& all, const Terms& prices, float* out) const;
  KernelPrediction predict(const KernelDescriptor& kernel, int lanes) const;
};

// Times are compared by log(time + kShortUs): by their ratio where they are
// long, by their difference where they are no longer than the clock and the
// profiler can tell. (Weights that follow the measured time instead would
// prefer the times that came out too long.)
inline constexpr double kShortUs = 3;
double soft_log(double time_us);
double soft_exp(double value);  // its inverse, at least kLeastTime
// Noise of soft_log grows where times are short: variance times this.
double short_time_noise(double expected_us);

class KernelModel {
 public:
  int lanes = 16;
  std::map<std::string, Cell, std::less<>> cells;
  Cell fallback;  // of all kernels: for kinds that no cell knows

  KernelPrediction predict(const KernelDescriptor& kernel) const;
};

}  // namespace lathe::latency
