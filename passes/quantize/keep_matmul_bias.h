// Keeps the sum after an integer MatMul from turning it into a float Gemm.
#pragma once

#include "passes/quantize/select_nodes.h"

namespace lathe::quantize {

// After insert_qdq. Shapes are the inferred ones; where the runtime could not
// know them either, it does not merge, and the nodes stay as they are.
void keep_matmul_bias(ir::Model& model, const Selection& selection);

}  // namespace lathe::quantize
