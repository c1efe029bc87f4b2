// One machine's measurements for all ranks.
#pragma once

#include "passes/ranks.h"
#include "recipes/run.h"

namespace lathe::recipes {

// The first rank measures while the others wait, and all have its figures, or
// its error: what rests on a measurement is decided alike.
class SharedMeter final : public LatencyMeter {
 public:
  SharedMeter(LatencyMeter& meter, Ranks& ranks)
      : meter_(meter), ranks_(ranks) {}
  std::vector<MeasuredLatency> measure(
      const std::vector<std::filesystem::path>& models) override;

 private:
  LatencyMeter& meter_;
  Ranks& ranks_;
};

}  // namespace lathe::recipes
