// Quantization, shared with the contrib family.
#pragma once

#include "passes/ir/op_helpers.h"

namespace lathe::ir {

void infer_quantize(InferContext& ctx);
void infer_dequantize(InferContext& ctx);

}  // namespace lathe::ir
