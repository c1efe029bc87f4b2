// Students made from the model itself: its graph at a share of the widths.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "passes/pass.h"

namespace lathe::prune {

enum class StudentWeights {
  kInherited,  // those of the units that stay
  kFresh       // drawn anew: draw_weights()
};

struct ScaleWidthOptions {
  double ratio = 0.5;  // of each group's units that stays, in (0, 1]
  // Of each kind of residual block that stays, in (0, 1], evenly spread, one of
  // each at least.
  double depth = 1;
  StudentWeights weights = StudentWeights::kInherited;
  // Widths are rounded to the nearest multiple, and are at least that or what
  // they were.
  int64_t multiple_of = 8;
  std::vector<std::string> keep = {};  // see PruneOptions
  // Which units are inherited, see PruneOptions.
  std::string saliency = {};
  int64_t samples = 0;
};

// scale_width. Inputs, outputs and their shapes stay. Heads, and groups of a
// convolution, get fewer and keep their own width; where there is none to
// spare, they get narrower. Groups that are rescaling are scaled as well. The
// result needs training. PassResult::plan is what stayed; inherited weights
// leave context.pruned. Errors: kUsage for an option out of range; as shrink()
// and measure_saliency().
std::unique_ptr<Pass> make_scale_width(ScaleWidthOptions options);

}  // namespace lathe::prune
