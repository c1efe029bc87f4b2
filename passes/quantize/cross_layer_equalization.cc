// cross_layer_equalization: even channels between layers.
//
//   before: y = Conv(Relu(Conv(x, w1, b1)), w2)
//   after:  y = Conv(Relu(Conv(x, w1 / s, b1 / s)), w2 * s)   for each channel
//
// Conditions and operators: channel_groups, channel_sites and channel_axis.
// The formula of s: channel_factors, with alpha 0.5.
// Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and
// Bias Correction" (2019), section 4.1.
#include "passes/ir/shape_inference.h"
#include "passes/quantize/channel_scaling.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {
namespace {

class CrossLayerEqualization final : public Pass {
 public:
  explicit CrossLayerEqualization(ScalingOptions options) : options_(options) {}

  std::string name() const override { return "cross_layer_equalization"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    ir::infer_shapes(model);
    std::vector<ChannelGroup> groups = find_channel_groups(*model.graph);
    std::erase_if(groups,
                  [](const ChannelGroup& group) { return group.normalized; });
    const ChannelScaling scaling{
        .factors = {.alpha = 0.5, .power_of_two = options_.power_of_two},
        .min_gain_db = options_.min_gain_db,
        .samples = options_.samples,
        .weights_may_decide = true};
    return scale_groups(model, groups, scaling, context);
  }

 private:
  ScalingOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_cross_layer_equalization(ScalingOptions options) {
  return std::make_unique<CrossLayerEqualization>(options);
}

}  // namespace lathe::quantize
