// Measured latency, several models interleaved.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "calibration/latency/session.h"
#include "passes/base/progress.h"
#include "passes/ir/shape_inference.h"
#include "passes/stage_scorer.h"

namespace lathe::latency {

struct BenchOptions {
  int threads = 1;           // that the sessions were opened with
  int64_t runs = 0;          // 0: as many as fit min_seconds, within limits
  double min_seconds = 1.0;  // a model, when runs is 0
  int64_t min_runs = 30, max_runs = 1000;
  uint64_t seed = 0;
};

// One subject: an open session and its inputs.
struct BenchSubject {
  std::string name;
  const Session* session = nullptr;
  NamedTensors inputs;
};

// Warm-up, then rounds A B C A B C …, one MeasuredLatency a subject. `noisy`:
// see docs/latency.md.
std::vector<MeasuredLatency> bench(const std::vector<BenchSubject>& subjects,
                                   const BenchOptions& options,
                                   ProgressSink& progress,
                                   const CancelToken* cancel);

// Seeded random tensors for the model's inputs without initializer, shapes as
// in `shapes` (ir::default_input_shapes): float uniform in [0, 1), integers 0
// or 1, bool true.
NamedTensors random_inputs(const ir::Model& model,
                           const ir::InputShapes& shapes, uint64_t seed);

}  // namespace lathe::latency
