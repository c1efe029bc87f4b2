// Values through which everything between an input and an output passes: ends
// of blocks. Internal.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::distill {

struct CutValue {
  const ir::Value* value = nullptr;
  int64_t axis = 1;  // of channels
  int64_t channels = 0;
  std::vector<int64_t> positions;  // dimensions beside batch and channels
  // Layers before it and in all, between the input and the output.
  int64_t depth = 0, all_layers = 0;
  double depth_share() const {
    return static_cast<double>(depth) / static_cast<double>(all_layers);
  }
};

// Of the top-level graph, in order: floating, of static shape and rank 2 and
// more, from the first layer to before the last one, without copies that are
// only pooled or moved. Computed from the pair of an input and an output
// between which there are most; paths through Shape and Size do not count.
std::vector<CutValue> cut_values(const ir::Model& model);

// Convolutions and products.
bool is_layer(const ir::Node& node);

}  // namespace lathe::distill
