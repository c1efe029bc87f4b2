// Repair without training: what pruning changed is fitted back to the dense
// model's own values on samples, layer after layer in the order of execution,
// each with those before it repaired. No labels are needed.
//
// After each layer, in this order:
//  - least squares of the products' weights and biases (Conv, grouped and
//    depthwise ones included, Gemm, and MatMul by a constant),
//  - where that does not help: scale and shift of each channel,
//  - BatchNormalization statistics, where they do not stand behind a product
//    that was fitted.
// docs/pruning.md has the formulas.
#pragma once

#include <cstdint>
#include <memory>

#include "passes/pass.h"
#include "passes/prune/channel_groups.h"

namespace lathe::prune {

// What a pass that prunes leaves of context.reference for those behind it.
struct Pruned {
  ChannelGroups groups;  // of the dense model
  Selection selection;
};

struct RepairOptions {
  bool least_squares = true;
  bool moments = true;
  bool batch_norm = true;
  // Fewer where `memory` does not hold them.
  int64_t samples = 1024;
  // Bytes of values held between two layers, for all samples and both models.
  int64_t memory = int64_t{1} << 30;
  // Times the mean variance of a product's inputs: the least of the penalties
  // that are tried for a weight's distance from what it was.
  double ridge = 1e-6;
};

// `model` is what shrink() made of `dense`, or of a repaired model. Needs
// context.data: error kUsage without, kInput where it is empty. Remarks: what
// was left alone, and why. The result depends on context.seed and not on jobs.
PassResult repair(ir::Model& model, const ir::Model& dense,
                  const ChannelGroups& groups, const Selection& selection,
                  const RepairOptions& options, PassContext& context);

// Passes for the parts. The first needs context.data alone, and sets the
// statistics of every BatchNormalization; the others need context.reference,
// the dense model, and context.pruned as well. Of the options, those that the
// part has no use for are ignored.
std::unique_ptr<Pass> make_reestimate_batch_norm(RepairOptions options = {});
std::unique_ptr<Pass> make_match_channel_moments(RepairOptions options = {});
std::unique_ptr<Pass> make_reconstruct_consumers(RepairOptions options = {});

}  // namespace lathe::prune
