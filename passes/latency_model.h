// What a model costs in time on a device, without running it.
#pragma once

#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/kernel.h"

namespace lathe {

// Microseconds: median and a 90% prediction interval.
struct LatencyEstimate {
  double p5_us = 0;
  double p50_us = 0;
  double p95_us = 0;
};

// One kernel of the graph as the device runs it.
struct KernelEstimate {
  std::string name;                // of the first node
  std::string kind;                // "conv2d", "gemm", …
  std::vector<std::string> nodes;  // ids of the graph's nodes that it covers
  LatencyEstimate latency;
  bool seen = true;  // false: of a kind that the profile has not measured
  KernelDescriptor descriptor;  // edit it and ask kernel() what it would take
};

struct GraphEstimate {
  LatencyEstimate latency;
  std::vector<KernelEstimate> kernels;
  double unseen_share = 0;  // of p50, in kernels with !seen
  // What a reader must know before trusting the figures: operators priced by
  // their bytes alone, and the like.
  std::vector<std::string> warnings;
};

// How a value is held between two kernels.
struct ValueForm {
  Precision precision = Precision::kFp32;
  Layout layout = Layout::kPlain;
  bool operator==(const ValueForm&) const = default;
};

// Thread-safe. Prices the graph as it stands (Q/DQ groups as the integer
// kernels they become); shapes must be known (ir::infer_shapes with the input
// shapes bound), else error kInput naming the input to fix.
class LatencyModel {
 public:
  virtual ~LatencyModel() = default;
  virtual GraphEstimate estimate(const ir::Model& model) const = 0;
  // The same without the runtime, by rules: for a graph whose weights count by
  // their shape alone, and cheap enough for a search over graphs. Its shapes
  // are inferred.
  virtual GraphEstimate estimate_outline(const ir::Model& model) const {
    return estimate(model);
  }
  // One kernel, which need not exist anywhere: hypothetical widths, another
  // precision. Memoised; cheap enough for a solver's inner loop.
  virtual LatencyEstimate kernel(const KernelDescriptor& kernel) const = 0;
  // What it takes to bring a value [N, C, H, W] from one form to the other:
  // QuantizeLinear, DequantizeLinear, reorders, transposes. 0 when equal.
  LatencyEstimate border(const std::vector<int64_t>& nchw, ValueForm from,
                         ValueForm to) const;
  virtual std::string device() const = 0;  // the profile's name
  // False for a profile whose figures no measurement stands behind.
  virtual bool calibrated() const = 0;
};

}  // namespace lathe
