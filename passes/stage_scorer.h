// The score of a stage: one code path for every figure of every stage.
#pragma once

#include <cstdint>
#include <optional>

#include "passes/evaluator.h"
#include "passes/ir/graph.h"
#include "passes/latency_model.h"

namespace lathe {

// Microseconds over `runs` runs.
struct MeasuredLatency {
  double min_us = 0;
  double p10_us = 0;
  double median_us = 0;
  double p90_us = 0;
  int64_t runs = 0;
  bool noisy = false;
};

struct StageScore {
  std::optional<LatencyEstimate> estimated_latency;
  std::optional<MeasuredLatency> measured_latency;  // device is this machine
  uint64_t size_bytes = 0;                          // of the .onnx file
  int64_t parameters = 0;
  std::optional<int64_t> macs;  // absent when a shape stays unknown
  std::optional<Accuracy> accuracy;
};

class StageScorer {
 public:
  virtual ~StageScorer() = default;
  virtual StageScore score(const ir::Model& model) = 0;
};

}  // namespace lathe
