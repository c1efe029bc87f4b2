// Writes blocked regions into the graph.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/ir/graph.h"
#include "passes/quantize/block_pixels_region.h"

namespace lathe::quantize {

// Returns how many operators changed. Shapes of the changed values are to be
// inferred again.
int64_t rewrite_regions(ir::Graph& graph, const std::vector<Region>& regions);

}  // namespace lathe::quantize
