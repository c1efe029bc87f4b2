// Keeps the sum after an integer MatMul from turning it into a float Gemm.
#pragma once

#include "passes/quantize/select_nodes.h"

namespace lathe::quantize {

// The runtime merges `add`, a bias of one constant a column, into the MatMul of
// constant weights before it. Shapes as inferred; before insert_qdq.
bool adds_constant_bias(const ir::Node& add, const ir::Node& matmul);

// After insert_qdq. Shapes are the inferred ones; where the runtime could not
// know them either, it does not merge, and the nodes stay as they are.
void keep_matmul_bias(ir::Model& model, const Selection& selection);

}  // namespace lathe::quantize
