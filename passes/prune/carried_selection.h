// Selections of a model that was pruned before, as selections of the dense one.
#pragma once

#include "passes/prune/channel_groups.h"

namespace lathe::prune {

// `done` is what was removed from `dense` to give the model that `pruned` are
// the groups of; `more` is what goes from that. Returns all of it together.
// Error kInternal where a unit of the pruned model is none of the dense one.
Selection carried_selection(const ir::Model& dense_model,
                            const ChannelGroups& dense, const Selection& done,
                            const ChannelGroups& pruned, const Selection& more);

}  // namespace lathe::prune
