// Which groups and units a pass that removes channels leaves whole.
#pragma once

#include <string>
#include <vector>

#include "passes/pass_context.h"
#include "passes/prune/channel_groups.h"
#include "passes/prune/saliency.h"

namespace lathe::prune {

// What `keep` takes, see PruneOptions.
struct GroupChoice {
  const std::vector<std::string>& keep;
  bool rescaling = false;  // groups that are rescaling may lose units as well

  // Whether all of its units stay.
  bool stays_whole(const ChannelGroup& group) const;
  // What stays whole and why, and patterns that match nothing.
  std::vector<Remark> remarks(const ChannelGroups& groups) const;
};

// The `kept` units of largest saliency, of equal ones the first: true where one
// stays.
std::vector<bool> keep_best(const std::vector<double>& saliency, size_t kept);

// `method` "" is the default: of saliency.h's table where there is data, else
// by weights.
Saliency measure_saliency(const ir::Model& model, const ChannelGroups& groups,
                          const std::string& method, int64_t samples,
                          PassContext& context);

}  // namespace lathe::prune
