// Which layers stay in float so that a budget is kept.
#pragma once

#include <functional>
#include <vector>

#include "passes/pass.h"
#include "passes/quantize/placement.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {

struct PrecisionPlan {
  Labels labels;
  // Noise over signal of the model's outputs with that node alone as an integer
  // kernel, one a node; empty where no budget asked for it, 0 for nodes that
  // have no numbers of their own.
  std::vector<double> noise;
  std::vector<Remark> remarks;
};

// Without a budget: the fastest labels. With one: docs/quantize.md says how it
// is solved. `build` makes the quantized model for labels. Errors: kUsage where
// the budget needs a service that `context` lacks.
PrecisionPlan plan_precision(
    Placement& placement, const PrecisionBudget& budget,
    const ir::Model& reference,
    const std::function<ir::Model(const Labels&)>& build,
    const PassContext& context);

// One for each node that has numbers of its own as an integer kernel.
std::vector<LayerDecision> layer_decisions(Placement& placement,
                                           const PrecisionPlan& plan,
                                           const LatencyModel& latency);

}  // namespace lathe::quantize
