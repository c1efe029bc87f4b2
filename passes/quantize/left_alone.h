// Remarks on nodes that quantization leaves alone, the same in every pass.
#pragma once

#include <string>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/pass.h"

namespace lathe::quantize {

// Weights times activations, or a recurrent layer: what a user expects to be
// quantized.
bool is_compute(const ir::Node& node);

// One for each of `names` (given as the option `option`) that no node of the
// top-level graph has as its Node::id().
std::vector<Remark> unknown_node_remarks(const ir::Graph& graph,
                                         const std::vector<std::string>& names,
                                         const std::string& option);

// One for each compute node inside a subgraph or a model-local function.
std::vector<Remark> inner_node_remarks(const ir::Model& model);

}  // namespace lathe::quantize
