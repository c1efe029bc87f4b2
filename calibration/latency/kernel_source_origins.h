// Which nodes of a model a kernel of its optimized graph stands for. Internal.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::latency {

// For each node of the optimized graph the nodes of `original` whose work it
// does, in the original's order; each belongs to one at most, those that were
// computed in advance to none. The front is not special: `main_node` is.
struct Origins {
  std::vector<const ir::Node*> nodes;
  const ir::Node* main = nullptr;  // null: made by the runtime
};
std::unordered_map<const ir::Node*, Origins> find_origins(
    const ir::Graph& optimized, const ir::Graph& original);

// The one that a kernel is named after: what computes most.
const ir::Node* main_node(const std::vector<const ir::Node*>& nodes);

}  // namespace lathe::latency
