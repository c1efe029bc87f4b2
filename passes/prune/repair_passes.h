// What the repair passes share.
#pragma once

#include <string>

#include "passes/prune/repair.h"
#include "passes/prune/repair_sweep.h"

namespace lathe::prune {

// Error kUsage at `pass` where there is no data, or an option is out of range.
void require_samples(const PassContext& context, const RepairOptions& options,
                     const std::string& pass);
// A remark where memory allows fewer samples than wanted.
void remark_samples(const Sweep& sweep, const RepairOptions& options,
                    const PassContext& context, PassResult& result);
// Statistics of the BatchNormalization that the sweep stands at.
void reestimate(const Sweep& sweep, ir::Node& node, PassResult& result);

}  // namespace lathe::prune
