// Recurrent layers, shared with the contrib family.
#pragma once

#include "passes/ir/op_helpers.h"

namespace lathe::ir {

// Y, Y_h and, where `has_cell`, Y_c, of X [seq, batch, in] and R
// [directions, gates * hidden, hidden].
void infer_recurrent(InferContext& ctx, bool has_cell);
void infer_lstm(InferContext& ctx);
// seq * batch * directions * gates * hidden * (in + hidden) MACs.
Cost recurrent_cost(const Node& node, int64_t gates);

}  // namespace lathe::ir
