// Three-channel images for a kernel that wants multiples of four.
#pragma once

#include "passes/ir/graph.h"
#include "passes/quantize/select_nodes.h"

namespace lathe::quantize {

// After insert_qdq. See pad_channels.cc.
void pad_channels(ir::Model& model, const Selection& selection);

}  // namespace lathe::quantize
