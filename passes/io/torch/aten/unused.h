// What translation leaves behind that no output needs.
#pragma once

#include "passes/ir/graph.h"

namespace lathe::io::aten {

// Removes nodes without a used output, optional outputs at the end of a node's
// list that nobody uses, and initializers without use, in subgraphs as well.
// Inputs stay.
void remove_unused(ir::Graph& graph);

}  // namespace lathe::io::aten
