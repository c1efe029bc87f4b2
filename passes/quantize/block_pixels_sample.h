// The shortcut of residual networks without a convolution: every second pixel,
// and channels of zeros around the others.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/quantize/block_pixels_steps.h"

namespace lathe::quantize {

struct SampleChain {
  std::vector<ir::Node*> nodes;   // the last writes codes
  Window rows, columns;           // kernel 1, stride 2, pad -first pixel
  std::vector<int64_t> channels;  // the input's for each of the output, or -1
};

// From a Slice behind a DQ along
//
//   Slice -> Q (-> DQ -> Slice -> Q)… (-> Pad of codes)
//
// as far as each value has one reader, every Q has the first DQ's parameters,
// the Pad adds channels of zero's code, and rows and columns are both halved.
// Nullopt where there is no such chain. Sizes are those of the input.
std::optional<SampleChain> follow_sample(ir::Node& slice, int64_t channels,
                                         int64_t height, int64_t width);

// The same scale and zero point, element by element.
bool same_parameters(const ir::Node& quantize, const ir::Node& dequantize);

}  // namespace lathe::quantize
