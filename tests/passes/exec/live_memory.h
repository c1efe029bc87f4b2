// What LibTorch's tensors take on the CPU while something runs.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace lathe::test {

// The most bytes that `run` holds at once beyond what was held before, as far
// as this thread allocates them.
template <class Run>
int64_t most_live_bytes(Run run) {
  class Meter : public c10::MemoryReportingInfoBase {
   public:
    void reportMemoryUsage(void*, int64_t size, int64_t, int64_t,
                           c10::Device) override {
      now += size;
      most = std::max(most, now);
    }
    bool memoryProfilingEnabled() const override { return true; }
    int64_t now = 0, most = 0;
  };
  const auto meter = std::make_shared<Meter>();
  c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  run();
  return meter->most;
}

}  // namespace lathe::test
