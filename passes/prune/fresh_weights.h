// Weights as before training.
#pragma once

#include <cstdint>

#include "passes/ir/graph.h"

namespace lathe::prune {

// Draws every weight of the model anew, each from the seed and its name, and
// returns how many tensors changed:
//  - of Conv, ConvTranspose, Gemm, MatMul and Einsum: normal with variance
//    2 / fan_in where an activation of the ReLU kind follows, at once or behind
//    a normalization or bias (He et al. 2015, "Delving Deep into Rectifiers",
//    eq. 10), else 2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 12), as
//    of LSTM, GRU and RNN;
//  - of tables that Gather reads: normal with a standard deviation of 0.02;
//  - biases 0; normalizations: scale 1, shift 0, running mean 0, running
//    variance 1; factors of channels 1; slopes of PRelu 0.25.
// What exec::is_trainable() calls no weight stays, running statistics aside,
// and so do vectors that scale or shift the model's own inputs.
int64_t draw_weights(ir::Model& model, uint64_t seed);

}  // namespace lathe::prune
