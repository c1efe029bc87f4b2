// A student without BatchNormalization as it trains better: with one. Internal.
//
//   before: Conv -> y     after: Conv -> BatchNormalization -> y
//
// Scale and shift are the deviation and mean of what the convolution gives on
// samples, and so are the statistics: the values stay what they are, and
// folding gives the old form back. Folded networks train at small rates alone
// (Ioffe and Szegedy 2015, arXiv 1502.03167, section 3.3).
#pragma once

#include "passes/ir/graph.h"
#include "passes/pass_context.h"

namespace lathe::distill {

// Behind every Conv of the top-level graph whose weight is its own and whose
// output is none of the model's; of a model that has one already, behind none.
// Returns how many. Needs context.data.
int64_t unfold_batch_norm(ir::Model& model, PassContext& context);
// The old form.
void fold_batch_norm(ir::Model& model, const PassContext& context);

}  // namespace lathe::distill
