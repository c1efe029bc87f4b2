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
  // What the regressors see, in order: indices into kFeatureNames, then the
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

// Noise grows where a kernel takes no longer than the clock and the profiler
// can tell: variance times this.
double short_time_noise(double time_us);

class KernelModel {
 public:
  int lanes = 16;
  std::map<std::string, Cell, std::less<>> cells;
  Cell fallback;  // of all kernels: for kinds that no cell knows

  KernelPrediction predict(const KernelDescriptor& kernel) const;
};

}  // namespace lathe::latency
