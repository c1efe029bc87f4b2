// BatchNormalization over the batches of all ranks. Internal to the executor.
#pragma once

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {

// In training, with state.group. `in`: x [N, C, ...], scale, bias, running mean
// and variance [C]; N may be 0 on some ranks. Mean and variance are those of
// every rank's x together, by one all_reduce of each rank's count, sum and sum
// of squares in double, and the same bits on every rank:
//   y = (x - mean) / sqrt(variance + epsilon) * scale + bias.
// The gradient takes both as functions of every rank's x (Ioffe and Szegedy
// 2015, section 3, with sums over ranks by one more all_reduce):
//   dx = scale / std * (dy - sum(dy) / n - xhat * sum(dy * xhat) / n);
// those of scale and bias are this rank's part. Gradients of gradients: error
// kUsage.
//
// Writes the running statistics as LibTorch does, by the sample's variance,
// unless state.again. `statistics`: returns them, too, as ONNX's training_mode
// does, by the population's, without a gradient.
Tensors batch_norm_over_ranks(Inputs in, const RunState& state, double epsilon,
                              double momentum, bool statistics);

}  // namespace lathe::exec
