// Which described kernel a node of the runtime's profile is. Internal.
#pragma once

#include <string>
#include <vector>

#include "calibration/latency/kernel_source.h"
#include "calibration/latency/probe/runtime_profile.h"
#include "passes/ir/graph.h"

namespace lathe::latency {

// The kernel of each node of the profile. By name where both sides have it
// once, else by operator and output shapes, in order, where both sides have the
// same number of those. `kernels` are those of `optimized`, whose shapes must
// be inferred. Error kInput, with `where` as place, when that leaves a node or
// a kernel over.
std::vector<const DescribedKernel*> join_kernels(
    const RuntimeProfile& profile, const ir::Model& optimized,
    const std::vector<DescribedKernel>& kernels, const std::string& where);

}  // namespace lathe::latency
