// Factors for the channels of a group, and what they are worth.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/affine.h"
#include "passes/quantize/channel_groups.h"

namespace lathe::quantize {

struct FactorOptions {
  double alpha = 0.5;        // 1: activations become even, 0: weights
  bool power_of_two = true;  // factors round to one
};

// The ranges of a tensor that will be quantized: of the group's channels from
// `first` on.
struct TensorRanges {
  int64_t first = 0;
  std::vector<Range> channels;
};

struct ChosenFactors {
  std::vector<double> factors;  // s of each channel: x becomes x / s
  double gain_db = 0;           // by which the predicted int8 error falls
};

// s_c = r_c^alpha / w_c^(1 - alpha) up to one common factor, which keeps the
// largest range: r_c the largest magnitude of the channel in `tensors`, w_c
// that of its weights, each relative to the size of its output. Source: Xiao et
// al., "SmoothQuant" (2022), equation 4; alpha 0.5 is Nagel et al.,
// "Data-Free Quantization" (2019), equation 11, with activations in the place
// of the weights before them.
//
// The predicted error is that of outputs, each relative to its size, from
// uint8 codes of the tensors and int8 weights with a scale for each output.
ChosenFactors choose_factors(const ChannelGroup& group,
                             const std::vector<TensorRanges>& tensors,
                             const FactorOptions& options);

}  // namespace lathe::quantize
