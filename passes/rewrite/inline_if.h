// An If whose condition is known: its branch in place of the node.
#pragma once

#include <string>

#include "passes/ir/graph.h"

namespace lathe::rewrite {

// Moves the nodes and initializers of the branch that `node` always takes
// before it, gives its outputs' uses to the branch's outputs and removes it.
// Needs: an If whose condition is a constant bool. Returns "" or why it stays.
std::string inline_if(ir::Node& node);

}  // namespace lathe::rewrite
