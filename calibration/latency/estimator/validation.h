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
  // One session: the 10th percentile of its runs, in turns beside a quiet
  // reference kernel where there were any. That is the time without a neighbour
  // on the core, which is what a profile estimates; a median of a shared
  // machine is a mixture of both.
  struct Pass {
    double low_us = 0;
    bool noisy = false;  // no turn was quiet
  };
  std::vector<Pass> passes;  // at least two, in order

  // The median of the quiet passes that are within 10% of the fastest of them:
  // sessions lie elsewhere in memory and differ by a few percent, more is the
  // machine. The fastest pass where none was quiet.
  double measured_us() const;
  bool noisy() const;  // no pass was quiet
  double error() const { return estimate.p50_us / measured_us() - 1; }
  // The same network timed twice: the second pass over the first, minus 1.
  double repeat_error() const {
    return passes[1].low_us / passes[0].low_us - 1;
  }
};

struct ValidationOptions {
  int threads = 1;
  double seconds = 0.4;  // that a network is measured for, each pass
  int group = 6;         // networks interleaved at a time
  uint64_t seed = 0;
};

// Measures every subject twice, a whole pass over all before the next, and
// those whose last two passes differ up to three times more; estimates it.
// Each group of networks is interleaved.
std::vector<ValidationRow> validate_estimates(
    const LatencyModel& device, std::span<const ValidationSubject> subjects,
    const ValidationOptions& options, ProgressSink& progress,
    const CancelToken* cancel);

// Over the rows that `keep` takes (all where it is empty).
ValidationError summarize_errors(
    std::span<const ValidationRow> rows,
    const std::function<bool(const ValidationRow&)>& keep = {});
// The noise floor in the same terms: the second pass as an estimate of the
// first. `coverage` is 0.
ValidationError noise_floor(
    std::span<const ValidationRow> rows,
    const std::function<bool(const ValidationRow&)>& keep = {});
// C. Spearman's rank correlation, ties at their mean rank; 0 below two values.
double spearman(std::span<const double> a, std::span<const double> b);

}  // namespace lathe::latency
