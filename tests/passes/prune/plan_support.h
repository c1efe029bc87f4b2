// Random selections, and a pruned model beside the masked dense one.
#pragma once

#include <cstdint>
#include <string>

#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"
#include "passes/prune/prune.h"

namespace lathe::test {

// Some units of some groups gone, a random share of each; groups that are
// rescaling stay whole, since zeros in their place are not exact there.
prune::Selection random_selection(const prune::ChannelGroups& groups,
                                  uint64_t seed, bool rescaling = false);

struct MaskedDifference {
  double difference = 0;  // largest, relative to an output's largest element
  bool same_shapes = true;
};
// Runs the model masked and shrunk in the runtime.
MaskedDifference masked_against_shrunk(const ir::Model& model,
                                       const prune::ChannelGroups& groups,
                                       const prune::Selection& selection,
                                       const ir::InputShapes& shapes);

}  // namespace lathe::test
