// Blocked layouts of an optimized graph. Internal.
#pragma once

#include <string>

#include "passes/ir/graph.h"

namespace lathe::latency {

// The runtime pads the channels of blocked values and weights to its block.
// Gives the types in `optimized` (a copy of the caller's) the channels that
// `original` has; padded ones stay where neither names nor reorders tell.
void restore_logical_channels(ir::Model& optimized, const ir::Model& original);

// The name that a node made by the runtime's layout passes was made from:
// "conv1_nchwc" -> "conv1", "pool1_token_87" -> "pool1".
std::string base_name(std::string name);

}  // namespace lathe::latency
