// The widths whose latency, in the form that counts, is within a limit.
#pragma once

#include "passes/prune/form_price.h"
#include "passes/prune/solver.h"

namespace lathe::prune {

struct FoundWidths {
  Plan plan;
  double loss = 0;
  double us = 0;  // FormPrice::us()
};

// Those of least loss; where estimates do not come within the limit although
// the solver does, the fastest. `now_us`: FormPrice::us() of the model, above
// the limit. Error kUnsupported, with the least that was found and what binds
// it, when the limit cannot be reached.
FoundWidths search_widths(const ir::Model& model, const ChannelGroups& groups,
                          const UnitLoss& loss, const SolverOptions& options,
                          const FormPrice& price, double now_us,
                          double limit_us, const PassContext& context);

}  // namespace lathe::prune
