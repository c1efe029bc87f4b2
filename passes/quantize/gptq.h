// GPTQ: codes whose errors make up for each other on calibration data.
#pragma once

#include <cstdint>
#include <span>

#include "passes/exec/gram_matrix.h"
#include "passes/quantize/block_codes.h"

namespace lathe::quantize {

struct GptqOptions {
  // Rows of W in the order of falling energy of their input, the scales of all
  // blocks chosen before (as many layouts want them in place); else rows as
  // they stand, a block's scales chosen from the weights as corrected so far.
  bool act_order = false;
  double damping = 0.01;  // of the mean of the Hessian's diagonal
  int jobs = 0;
};

// `weights` [depth, columns] of y = x W; `gram` of x, of that depth. Errors:
// kInternal where sizes disagree.
BlockCodes gptq(std::span<const float> weights, int64_t depth, int64_t columns,
                const BlockFormat& format, const exec::GramMatrix& gram,
                const GptqOptions& options);

}  // namespace lathe::quantize
