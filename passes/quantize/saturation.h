// Integer kernels that add two products in 16 bits.
#pragma once

#include <cstdint>
#include <span>

#include "passes/affine.h"
#include "passes/ir/graph.h"

namespace lathe::quantize {

// What is said of a layer whose weights are narrowed because of it.
inline constexpr const char* kSaturationRemark =
    "its weights have 7 bits: the device's kernels add two products in 16 "
    "bits, "
    "and with 8-bit weights a sum could exceed them";

// Whether two neighbouring products of int8 weights and activations can leave
// int16 together. `codes` are the weights of a Conv, Gemm or MatMul in the
// shape `dims`; `activations` the uint8 codes that occur (int8 ones plus 128).
// False for a depthwise Conv: its kernels have no such sums.
bool pairs_can_saturate(const ir::Node& node, std::span<const int64_t> dims,
                        std::span<const int8_t> codes, CodeRange activations);

// The same of matrices [..., depth, columns].
bool pairs_can_saturate(std::span<const int64_t> dims,
                        std::span<const int8_t> codes, CodeRange activations);

}  // namespace lathe::quantize
