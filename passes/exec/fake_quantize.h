// Quantization as training sees it: rounded on the way forward, straight
// through on the way back.
#pragma once

#include <cstdint>

#include "passes/exec/torch.h"

namespace lathe::exec {

// DequantizeLinear(QuantizeLinear(x)): x rounded to multiples of `scale`, codes
// kept in [low, high]. scale and zero_point (undefined: 0) are single numbers,
// vectors along `axis`, or, with a block size, of x's rank with one element a
// block of that axis. The result has x's type.
//
// Gradients: to x where its code is inside the range, else 0; to scale, when it
// requires one, LSQ's (Esser et al. 2020, equation 3): round(x/s) - x/s inside,
// the bound less the zero point outside. The paper's factor 1/sqrt(count *
// high) is left to the optimizer.
at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale,
                         const at::Tensor& zero_point, int64_t axis, double low,
                         double high, int64_t block_size = 0);

}  // namespace lathe::exec
