// Helpers of the tests of cross_layer_equalization and smooth_quant.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "passes/base/random.h"
#include "tests/passes/quantize/runtime_support.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {

// Channels whose ranges have nothing to do with the model: a random power of
// two each, from 1/64 to 64. Some are dead.
class UnevenRanges final : public RangeCollector {
 public:
  explicit UnevenRanges(uint64_t seed) : random_(seed) {}

  ActivationRanges collect(const ir::Model&, const std::vector<std::string>&,
                           ProgressSink&, const CancelToken*) override {
    throw_internal("test", "asks for ranges of whole tensors");
  }

  ChannelRanges collect_channels(const ir::Model& model,
                                 const std::vector<ChannelRequest>& requests,
                                 ProgressSink&, const CancelToken*,
                                 int64_t samples) override {
    ++runs;
    asked_samples = samples;
    ChannelRanges result;
    for (const auto& [name, axis] : requests) {
      const ir::Shape& shape = *model.graph->find(name)->type.shape;
      const int64_t channels = shape[static_cast<size_t>(axis)].value;
      for (int64_t c = 0; c < channels; ++c) {
        const auto most =
            c > 1 && random_.below(8) == 0
                ? 0.0f
                : static_cast<float>(std::exp2(random_.uniform(-6, 6)));
        result[name].push_back({random_.below(2) ? -most : 0.0f, most});
      }
    }
    return result;
  }

  int runs = 0;
  int64_t asked_samples = -1;

 private:
  Random random_;
};

// Scales whatever can be, gain or not.
inline ScalingOptions scale_all(bool power_of_two = true) {
  return {.power_of_two = power_of_two, .min_gain_db = -1000};
}

// Both passes, by ranges drawn from the seed.
inline PassResult scale_unevenly(ir::Model& model, uint64_t seed,
                                 const ScalingOptions& options) {
  UnevenRanges ranges(seed);
  PassContext context;
  context.ranges = &ranges;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(make_cross_layer_equalization(options));
  passes.push_back(
      make_smooth_quant({.scaling = options, .insert_mul = false}));
  return run_passes(model, passes, context);
}

inline std::vector<ir::Tensor> run_model(const ir::Model& model,
                                         const ir::InputShapes& shapes,
                                         uint64_t seed) {
  return latency::Session::open(model)->run(
      latency::random_inputs(model, shapes, seed));
}

}  // namespace lathe::quantize::test
