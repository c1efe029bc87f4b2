// Estimates beside measurements.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/latency/estimator/kernel_predictor.h"
#include "passes/base/progress.h"
#include "passes/ir/graph.h"
#include "passes/latency_model.h"

namespace lathe::latency {

// A network to compare; built when it is its turn, so that many can be given.
struct ValidationSubject {
  std::string name;
  // Input shapes bound. A model that cannot be had throws Error.
  std::function<ir::Model()> build;
};

struct ValidationRow {
  std::string name;
  LatencyEstimate estimate;
  double unseen_share = 0;
  // The 10th percentile of each pass, of its turns beside a quiet reference
  // kernel where there are any; fastest first. That is the time without a
  // neighbour on the core, which is what a profile estimates; a median of a
  // shared machine is a mixture of both.
  std::vector<double> passes_us;
  bool noisy = false;  // no turn of the fastest pass was quiet

  void add_pass(double low_us, bool noisy_pass);

  double measured_us() const { return passes_us.front(); }
  double repeated_us() const { return passes_us[1]; }  // the next best
  double error() const { return estimate.p50_us / measured_us() - 1; }
};

struct ValidationOptions {
  int threads = 1;
  double seconds = 0.4;  // that a network is measured for, each pass
  int group = 6;         // networks interleaved at a time
  uint64_t seed = 0;
};

// Measures every subject twice, a whole pass over all before the next, and
// those whose two fastest passes differ up to three times more; estimates it.
// Each group of networks is interleaved.
std::vector<ValidationRow> validate_estimates(
    const LatencyModel& device, std::span<const ValidationSubject> subjects,
    const ValidationOptions& options, ProgressSink& progress,
    const CancelToken* cancel);

// Over the rows that `keep` takes (all where it is empty).
ValidationError summarize_errors(
    std::span<const ValidationRow> rows,
    const std::function<bool(const ValidationRow&)>& keep = {});
// The noise floor in the same terms: the second fastest pass as an estimate of
// the fastest. `coverage` is 0.
ValidationError noise_floor(
    std::span<const ValidationRow> rows,
    const std::function<bool(const ValidationRow&)>& keep = {});
// C. Spearman's rank correlation, ties at their mean rank; 0 below two values.
double spearman(std::span<const double> a, std::span<const double> b);

}  // namespace lathe::latency
