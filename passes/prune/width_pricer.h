// The latency of a model at widths that it does not have yet.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/latency_model.h"
#include "passes/prune/channel_groups.h"
#include "passes/prune/residual_blocks.h"

namespace lathe::prune {

// Units kept of each group, and which blocks are gone.
struct Widths {
  std::vector<int64_t> units;
  std::vector<bool> gone;
  bool operator==(const Widths&) const = default;
};

// Prices the whole graph, so that layouts, reorders and both widths of a
// product count; only types change between two prices. Thread-safe.
class WidthPricer {
 public:
  // `model` has static, inferred shapes and outlives the pricer, as the others
  // do.
  WidthPricer(const ir::Model& model, const ChannelGroups& groups,
              const std::vector<ResidualBlock>& blocks,
              const LatencyModel& latency);
  ~WidthPricer();

  // Microseconds, the median.
  double price(const Widths& widths) const;

 private:
  class Outline;
  class Outlines;
  const ir::Model& model_;
  const ChannelGroups& groups_;
  const std::vector<ResidualBlock>& blocks_;
  const LatencyModel& latency_;
  std::unique_ptr<Outlines> outlines_;
};

}  // namespace lathe::prune
