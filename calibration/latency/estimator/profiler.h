// From a machine to its device profile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "calibration/latency/estimator/device_file.h"
#include "calibration/latency/probe/measurements.h"
#include "passes/base/progress.h"

namespace lathe::latency {

struct ProfileOptions {
  std::vector<int> threads{1};
  double budget_s = 180;  // for all thread counts, fitting included
  uint64_t seed = 0;
};

// Called after each group of networks with all that has been measured.
using Checkpoint = std::function<void(const Measurements&)>;

// Measures random networks: the first half of the time goes to every family
// in turn, the rest to what the predictors fitted so far know least about.
// Goes on from `measured` (empty at first): networks that are in it are not
// measured again and its seconds count. Error kInput when it is of another
// device or runtime; Error{kInterrupted} when cancelled.
Measurements measure_device(const ProfileOptions& options,
                            Measurements measured, const Checkpoint& checkpoint,
                            ProgressSink& progress, const CancelToken* cancel);

// Fits every thread count that was measured. Errors as fit_kernel_predictor.
DeviceFile fit_device(const Measurements& measurements);

}  // namespace lathe::latency
