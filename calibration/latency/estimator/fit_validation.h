// Cross-validation by network. Internal to the estimator.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "calibration/latency/estimator/fit.h"
#include "calibration/latency/estimator/fit_network.h"

namespace lathe::latency {

// "residual-17" of "residual-17-int8": a network and its other precisions are
// held out together.
std::string fold_key(const std::string& network);
// The fold of each network; every fold gets networks of all sizes.
std::vector<int> assign_folds(const std::vector<NetworkSample>& networks,
                              int folds);

struct HeldOut {
  std::vector<int> fold;
  // Of each network's kernels, by a model that saw none of its fold.
  std::vector<std::vector<KernelPrediction>> kernels;
};
HeldOut predict_held_out(const std::vector<NetworkSample>& networks,
                         const std::vector<int>& fold, int folds, int lanes,
                         const FitOptions& options);

// By what factor each cell's sd is too small; networks of fold `left_out` not
// counted.
using SpreadScales = std::map<std::string, double>;
SpreadScales spread_scales(const std::vector<NetworkSample>& networks,
                           const HeldOut& held_out, int left_out);

// The networks but those of fold `left_out` with their kernels' held-out
// predictions, scaled.
std::vector<NetworkCase> cases_of(const std::vector<NetworkSample>& networks,
                                  const HeldOut& held_out,
                                  const SpreadScales& scales, int left_out);

// Everything but the kernels' own fit is fitted to the other folds' networks.
// One prediction a network.
std::vector<NetworkPrediction> validate(
    const std::vector<NetworkSample>& networks, const HeldOut& held_out,
    int folds);
ValidationError error_of(const std::vector<NetworkSample>& networks,
                         const std::vector<NetworkPrediction>& predictions);

}  // namespace lathe::latency
