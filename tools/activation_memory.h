// How much memory a model's values need while it runs.
#pragma once

#include <cstdint>
#include <optional>

#include "passes/ir/graph.h"

namespace lathe::cli {

// The largest sum of bytes of computed values and inputs that are live at one
// node, nodes run in the graph's order, every value in memory of its own from
// the node that computes it to its last use (outputs: to the end). Values
// inside subgraphs are left out. nullopt when a shape is not static.
std::optional<uint64_t> peak_activation_bytes(const ir::Graph& graph);

}  // namespace lathe::cli
