// Branches that add to what goes around them, and may go as a whole.
#pragma once

#include <string>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::prune {

//   x -> f -> Add(f(x), x) -> y
// The branch is what only the sum uses; it has a product with a constant
// weight, and computes from x.
struct ResidualBlock {
  std::string name;                  // the Add's output
  size_t branch = 0;                 // the Add's input that the branch computes
  std::vector<std::string> results;  // first outputs of the branch's nodes
};

// Of the top-level graph, in its order. A branch within another's is listed
// before it. Shapes must be inferred.
std::vector<ResidualBlock> find_residual_blocks(const ir::Model& model);

}  // namespace lathe::prune
