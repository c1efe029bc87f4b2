// What a run hands to its passes.
#pragma once

#include <cstdint>

#include "passes/base/progress.h"

namespace lathe {

class BatchSource;
struct DeviceTraits;
class Evaluator;
class Executor;
class LatencyModel;
class RangeCollector;

struct PassContext {
  uint64_t seed = 0;
  int jobs = 0;  // 0: all cores
  ProgressSink* progress = &silent_progress();
  const CancelToken* cancel = nullptr;

  // Services; null where the run has none. A pass that needs one says so in an
  // error of kind usage.
  const LatencyModel* latency = nullptr;  // passes/latency_model.h
  BatchSource* data = nullptr;            // passes/batch_source.h
  RangeCollector* ranges = nullptr;       // passes/activation_ranges.h
  Evaluator* evaluator = nullptr;         // passes/evaluator.h
  Executor* executor = nullptr;           // passes/executor.h
  // Of the target; null where it is not known.
  const DeviceTraits* device = nullptr;  // passes/device_traits.h

  void check_cancelled() const {
    if (cancel) cancel->check();
  }
};

}  // namespace lathe
