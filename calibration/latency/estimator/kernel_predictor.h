// Predicts what a kernel takes on one device with one thread count, from
// measurements.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "calibration/latency/probe/measurements.h"
#include "passes/base/json.h"
#include "passes/kernel.h"

namespace lathe::latency {

// log(time in us) is normal with this mean and standard deviation (what the
// predictor does not know plus what repeats badly).
struct KernelPrediction {
  double mean_log_us = 0;
  double sd_log = 0;
  bool seen = true;  // false: no measured kernel of this kind; priced by bytes
                     // and operations
};

// The calibrated step from kernels to a network: its time is the sum of its
// kernels' expected times, corrected as fitted to networks measured whole; its
// log error has a part that all kernels share (`shared_sd`) and a part that
// averages out.
struct NetworkPrediction {
  double p5_us = 0, p50_us = 0, p95_us = 0;
};

// By network, held out; of those that were measured on a quiet machine.
struct ValidationError {
  int64_t networks = 0;
  double mape = 0;      // mean |estimate / measured - 1|
  double rmspe = 0;     // root of the mean square of the same
  double within_5 = 0;  // share with error at most 5%
  double within_10 = 0;
  double coverage = 0;  // share of measured values inside [p5, p95]
};

class KernelPredictor {
 public:
  virtual ~KernelPredictor() = default;
  // Thread-safe, deterministic.
  virtual KernelPrediction predict(const KernelDescriptor& kernel) const = 0;
  virtual NetworkPrediction network(
      const std::vector<KernelPrediction>& kernels) const = 0;
  // Kinds measured, with how many samples each.
  virtual std::map<std::string, int64_t> coverage() const = 0;
  // What kernel_predictor_from_json reads; the same bytes for the same fit.
  virtual Json to_json() const = 0;
  virtual const ValidationError& validation() const = 0;
};

// Fits to the networks of that thread count. Cross-validated by network in
// `folds` folds; below 2, the fit is a coarser and several times faster one,
// its validation() is empty and its intervals say little. Error kInput when
// there are too few networks to fit (said how many, and how many are needed).
// Deterministic.
std::unique_ptr<KernelPredictor> fit_kernel_predictor(
    const Measurements& measurements, int threads, int folds = 5);

// Errors kInput with text.where(pointer) as place.
std::unique_ptr<KernelPredictor> kernel_predictor_from_json(
    const JsonText& text, const std::string& pointer);

}  // namespace lathe::latency
