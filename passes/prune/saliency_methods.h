// The methods of saliency.cc's table. Internal.
#pragma once

#include <vector>

#include "passes/ir/graph.h"
#include "passes/prune/channel_groups.h"
#include "passes/prune/saliency.h"

namespace lathe::prune {

struct SaliencyTask {
  const ir::Model& model;
  const ChannelGroups& groups;
  int64_t samples = 0;  // at most
  bool labels = false;
  bool readers = false;
  PassContext& context;  // with data, where the method wants samples
};

// Before they are scaled; frozen groups are left at 0.
Saliency l1_saliency(const SaliencyTask& task);
Saliency l2_saliency(const SaliencyTask& task);
Saliency bn_scale_saliency(const SaliencyTask& task);
Saliency taylor_saliency(const SaliencyTask& task);
Saliency fisher_saliency(const SaliencyTask& task);
Saliency reconstruction_saliency(const SaliencyTask& task);

// 0 for every unit.
Saliency no_saliency(const std::vector<ChannelGroup>& groups);

}  // namespace lathe::prune
