// Even ranges of channels, by factors that the nodes around take in: what
// cross_layer_equalization and smooth_quant share.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/pass.h"
#include "passes/quantize/channel_factors.h"
#include "passes/quantize/channel_groups.h"

namespace lathe::quantize {

struct ChannelScaling {
  FactorOptions factors = {};
  double min_gain_db = 0;      // of the predicted error; else a group stays
  double min_mul_gain_db = 0;  // likewise, where a Mul has to be inserted
  int64_t samples = 0;         // that ranges are taken from; 0: all
  // Samples are read only where the weights suggest uneven channels.
  bool weights_may_decide = false;
};

// Gives each group that is not frozen and gains enough its factors: by the
// ranges that context.ranges sees, or without it by those of the weights, in
// rounds until they stay. Remarks say what was scaled, and why not.
PassResult scale_groups(ir::Model& model,
                        const std::vector<ChannelGroup>& groups,
                        const ChannelScaling& options, PassContext& context);

}  // namespace lathe::quantize
