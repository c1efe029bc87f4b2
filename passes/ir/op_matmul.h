// Matrix products, shared with the contrib families.
#pragma once

#include "passes/ir/op_helpers.h"

namespace lathe::ir {

// NumPy matmul of two shapes; 1-D operands as there. nullopt when a rank is
// unknown.
std::optional<Shape> matmul_shape(const InferContext& ctx,
                                  const std::optional<Shape>& a,
                                  const std::optional<Shape>& b);
// Inputs a and b by index.
void infer_matmul_as(InferContext& ctx, size_t a, size_t b, DataType elem);
void infer_matmul(InferContext& ctx);
// Y [M, N] of inputs a [M, K] and b [K, N], after transA and transB.
void infer_gemm_as(InferContext& ctx, size_t a, size_t b, DataType elem);
void infer_gemm(InferContext& ctx);

// outputs x the contracted dimension of input a.
Cost matmul_cost_with(const Node& node, size_t a);
Cost matmul_cost(const Node& node);
Cost gemm_cost(const Node& node);

// Of an Einsum with two operands: the product of all labels' dimensions.
void infer_einsum(InferContext& ctx);
Cost einsum_cost(const Node& node);

}  // namespace lathe::ir
