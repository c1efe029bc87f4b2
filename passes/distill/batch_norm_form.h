// A student as it trains best: with a BatchNormalization behind each
// convolution, which gives what the model gave at first. Internal.
//
//   before: Conv -> y     after: Conv -> BatchNormalization -> y
//
// Scale and shift are the deviation and mean of what the convolution gives on
// samples, and so are the statistics. Folded networks, and pruned ones with the
// statistics of what they were cut from, train at small rates alone (Ioffe and
// Szegedy 2015, arXiv 1502.03167, section 3.3).
#pragma once

#include "passes/ir/graph.h"
#include "passes/pass_context.h"

namespace lathe::distill {

bool has_batch_norm(const ir::Model& model);

// Behind every Conv of the top-level graph whose weight is its own (floats, or
// codes with a scale for each filter), that gives more than one position, and
// whose output is none of the model's. Those that the model has are folded
// first where they can be; a model whose statistics were never set (means 0,
// variances 1: fresh weights) stays as it is. Returns how many there are now.
// Needs context.data.
int64_t unfold_batch_norm(ir::Model& model, PassContext& context);

// Folds each into its convolution, with the running statistics of training,
// which are of samples varied as it saw them.
void fold_batch_norm(ir::Model& model, const PassContext& context);

}  // namespace lathe::distill
