// From measurements to a fitted model of kernels. Internal to the estimator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibration/latency/estimator/kernel_predictor_model.h"
#include "calibration/latency/probe/measurements.h"

namespace lathe::latency {

// One kernel of one network; equal kernels of a network are one.
struct Observation {
  const KernelDescriptor* kernel = nullptr;
  double time_us = 0;
  int count = 1;     // equal kernels that it stands for
  int network = 0;   // index
  double noise = 1;  // variance, as a multiple of a quiet network's
};

struct FitOptions {
  GaussianProcessOptions process;
  BoostedTreesOptions trees;
  double process_share = 0.4;
  // How far a network's kernels are scaled to its own time: 0 not at all, 1
  // until their sum is that time.
  double follow_total = 1;
  int least_of_cell = 12;  // observations; a smaller cell joins its family's
  int jobs = 0;            // 0: all cores
};

// A kernel's or a network's time from its rounds: the mean of those that are no
// slower than the fastest beyond what repeats; the others were disturbed.
double middle_of(std::vector<float> times_us);

// For each network the variance of its times as a multiple of what it is on a
// quiet machine: 1, more where the reference kernel was slow beside it.
std::vector<double> noise_of(const std::vector<NetworkSample>& networks);
// Networks above this were measured while something else ran.
inline constexpr double kMostQuietNoise = 3;

// Of the networks whose `chosen` is not 0.
std::vector<Observation> observe(const std::vector<NetworkSample>& networks,
                                 const std::vector<char>& chosen,
                                 const FitOptions& options);

KernelModel fit_kernel_model(const std::vector<Observation>& observations,
                             int lanes, const FitOptions& options);

// fp32 values in the widest vector of these instruction sets.
int vector_lanes(const DeviceDescription& device);

}  // namespace lathe::latency
