// Hints that an engineer can act on, from the staircase in a device's profile.
#pragma once

#include <string>
#include <vector>

#include "passes/latency_model.h"

namespace lathe::latency {

enum class HintKind {
  kFreeWidth,    // a width can grow without costing time
  kCliff,        // a width just above a step: a little less costs far less
  kFasterWider,  // a larger width is faster: alignment
  kSlowInt8,     // int8 takes longer than fp32
};
const char* to_string(HintKind kind);  // "free_width", "cliff", …

struct Hint {
  HintKind kind = HintKind::kCliff;
  std::string kernel;              // its name in the estimate
  std::vector<std::string> nodes;  // of the model
  std::string width;  // "out_channels", "in_channels", …; empty for int8
  int64_t from = 0, to = 0;       // widths
  double from_us = 0, to_us = 0;  // what the kernel takes with each
  std::string text;               // the whole as a sentence
};

// Ordered by the time that is at stake, largest first. A difference that the
// profile's own uncertainty could explain (its step below 1.03 times) gives no
// hint, nor does one below 1 us.
std::vector<Hint> explain(const LatencyModel& model,
                          const GraphEstimate& estimate);

}  // namespace lathe::latency
