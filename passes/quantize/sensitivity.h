// How much each layer by itself disturbs the model's outputs as integers.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "passes/executor.h"
#include "passes/ir/graph.h"
#include "passes/pass_context.h"

namespace lathe::quantize {

// Noise power over signal power of a model's outputs against a reference's.
class OutputNoise {
 public:
  // Runs `reference` on the first `samples` samples of context.data (fewer
  // where its outputs would take more than 256 MiB) and keeps what comes out.
  // Needs context.data and context.executor.
  OutputNoise(const ir::Model& reference, int64_t samples,
              const PassContext& context);

  // sum (r - x)^2 / sum r^2 over all samples, of the output where it is
  // largest. Infinite where an output is not finite; outputs that are no
  // floats, or all zero, do not count.
  double of(const ir::Model& model) const;
  int64_t samples() const { return static_cast<int64_t>(inputs_.size()); }

 private:
  const PassContext& context_;
  std::vector<NamedTensors> inputs_;
  std::vector<std::vector<ir::Tensor>> outputs_;
};

// 10 log10(1 / noise), at most 200 dB.
double sqnr_db(double noise_over_signal);

}  // namespace lathe::quantize
