// Blocks that several architectures share, and how wide they are.
#pragma once

#include <cstdint>
#include <functional>

#include "tests/zoo/net_builder.h"

namespace lathe::zoo {

// The width to build in the place of a published one. An architecture asks once
// for each width that it can choose freely, in a fixed order; widths that must
// agree (residual sums) are one width.
using Widths = std::function<int64_t(int64_t published)>;
Widths published_widths();
// Each a random share, 0.4 to 1.0, of the published width: 45% multiples of 16,
// 25% of 8, 15% of 4, 15% arbitrary.
Widths random_widths(uint64_t seed);

// Hu et al. (2018): channels scaled by a gate from their means, `squeezed`
// channels in between.
struct SqueezeExcite {
  int64_t squeezed = 0;
  Act act = Act::kRelu;
  bool hard = false;  // HardSigmoid for the gate, else Sigmoid
};
ir::Value* squeeze_excite(NetBuilder& net, ir::Value* x,
                          const SqueezeExcite& block);

// Sandler et al. (2018): 1x1 to `hidden` (left out for 0), depthwise,
// squeeze-excite (left out for 0), 1x1 linear to `out`, and the sum with the
// input where shapes agree.
struct InvertedResidual {
  int64_t hidden = 0, out = 0, kernel = 3, stride = 1;
  Act act = Act::kRelu6;
  SqueezeExcite squeeze = {};
};
ir::Value* inverted_residual(NetBuilder& net, ir::Value* x,
                             const InvertedResidual& block);

}  // namespace lathe::zoo
