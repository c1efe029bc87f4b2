// The fitted step from kernels to their network. Internal to the estimator.
#pragma once

#include <vector>

#include "calibration/latency/estimator/kernel_predictor.h"

namespace lathe::latency {

// time = scale * (sum of kernels) + node_us * kernels + fixed_us; the variance
// of its logarithm = shared^2 + (linear * mean of kernels' sd)^2 + own^2 * (sum
// of squared shares times variances) + (absolute_us / time)^2, where a kernel's
// share is of the time, and unseen kernels' errors do not average out.
struct NetworkModel {
  double scale = 1, node_us = 0, fixed_us = 0;
  double shared = 0.04, linear = 0, own = 1, absolute_us = 3;
  double reach_low = 1.645, reach_high = 1.645;  // sd to p5 and to p95

  NetworkPrediction predict(const std::vector<KernelPrediction>& kernels) const;
  // The middle and the standard deviation of the logarithm around it.
  double time_us(const std::vector<KernelPrediction>& kernels) const;
  double sd_log(const std::vector<KernelPrediction>& kernels,
                double time_us) const;
};

struct NetworkCase {
  std::vector<KernelPrediction> kernels;
  double measured_us = 0;
  double noise = 1;  // variance, as a multiple of a quiet network's
};

// Robust; at least one case.
NetworkModel fit_network_model(const std::vector<NetworkCase>& cases);

}  // namespace lathe::latency
