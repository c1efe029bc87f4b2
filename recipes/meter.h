// The LatencyMeter over ONNX Runtime on this machine.
#pragma once

#include "calibration/latency/bench.h"
#include "recipes/run.h"

namespace lathe::recipes {

class RuntimeMeter final : public LatencyMeter {
 public:
  // `inputs`: what every model is run on.
  RuntimeMeter(NamedTensors inputs, latency::BenchOptions options,
               ProgressSink& progress, const CancelToken* cancel)
      : inputs_(std::move(inputs)),
        options_(options),
        progress_(progress),
        cancel_(cancel) {}
  std::vector<MeasuredLatency> measure(
      const std::vector<std::filesystem::path>& models) override;

 private:
  NamedTensors inputs_;
  latency::BenchOptions options_;
  ProgressSink& progress_;
  const CancelToken* cancel_;
};

}  // namespace lathe::recipes
