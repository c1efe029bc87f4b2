// Attention of com.microsoft, shared by its float and integer forms.
#pragma once

#include "passes/ir/op_helpers.h"

namespace lathe::ir {

// Projection of input 0 [batch, sequence, in] by input 1, scores, and their
// product with the values; the softmax between them.
Cost ms_attention_cost(const Node& node);

}  // namespace lathe::ir
