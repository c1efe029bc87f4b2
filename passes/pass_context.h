// What a run hands to its passes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "passes/base/progress.h"

namespace lathe {

namespace ir {
class Model;
}
namespace prune {
struct Pruned;
}

class BatchSource;
struct DeviceTraits;
class Evaluator;
class Executor;
class LatencyModel;
class RangeCollector;
class Ranks;

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
  // The same with all cores for one model.
  Executor* batch_executor = nullptr;
  Ranks* ranks = nullptr;  // passes/ranks.h; null: one process
  // The model that the run was given: what a student learns from.
  const ir::Model* input = nullptr;
  // Where long work keeps what it can go on from, and its metrics. Its files
  // stay until the run's results are written, but for those that a person
  // reads. Empty: nowhere.
  std::filesystem::path work_folder;
  // The float model that was quantized: what the first pass that coded
  // something was given. Names of nodes are the same. Null before. For what
  // repairs a pruned model: the dense one.
  const ir::Model* reference = nullptr;
  // What is left of it (passes/prune/repair.h); null where nothing was pruned.
  std::shared_ptr<const prune::Pruned> pruned;
  // ir::InputShapes that latencies are quoted for; a dimension that is not
  // given counts as 1.
  std::map<std::string, std::vector<int64_t>> input_shapes;
  // Of the target; null where it is not known.
  const DeviceTraits* device = nullptr;  // passes/device_traits.h

  void check_cancelled() const {
    if (cancel) cancel->check();
  }
};

}  // namespace lathe
