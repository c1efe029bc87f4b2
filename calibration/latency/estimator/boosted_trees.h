// Regression by gradient-boosted oblivious trees: every level of a tree asks
// one question of all its nodes (Prokhorenkova et al. 2018). Internal to the
// estimator.
#pragma once

#include <cstdint>
#include <vector>

#include "calibration/latency/estimator/gaussian_process.h"

namespace lathe::latency {

struct BoostedTreesOptions {
  int trees = 250;
  int depth = 5;
  double rate = 0.08;
  double row_share = 0.7;      // of the points, for each tree
  double feature_share = 0.6;  // of the features, for each level
  double damping = 3;          // points' worth of zero in each leaf
  int bins = 48;
};

struct ObliviousTree {
  std::vector<int> features;       // one a level
  std::vector<double> thresholds;  // x > threshold sets the level's bit
  std::vector<int> leaves;         // 2^levels, in units of 1e-4
};

struct BoostedTreesState {
  double offset = 0;
  std::vector<ObliviousTree> trees;
};

class BoostedTrees {
 public:
  static BoostedTrees fit(const RegressionData& data,
                          const BoostedTreesOptions& options, uint64_t seed);
  // Each tree must have as many thresholds as features, at most 16, and 2^that
  // leaves.
  explicit BoostedTrees(BoostedTreesState state);

  double predict(const float* features) const;
  const BoostedTreesState& state() const { return state_; }

 private:
  BoostedTreesState state_;
  // All trees' levels and leaves end to end.
  struct Level {
    int feature;
    float threshold;
  };
  std::vector<Level> levels_;
  std::vector<int> depth_;
  std::vector<float> leaves_;
};

}  // namespace lathe::latency
