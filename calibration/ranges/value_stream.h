// The elements of a model's values over data.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "passes/base/progress.h"
#include "passes/batch_source.h"
#include "passes/ir/graph.h"
#include "passes/ranks.h"

namespace lathe::ranges {

struct Elements {
  std::span<const float> values;  // row-major; they end with the call
  std::span<const int64_t> dims;
};

struct StreamData {
  BatchSource& source;
  int64_t samples = 0;     // to read, by all ranks; 0: all
  int jobs = 0;            // samples at work at the same time, one thread each
  Ranks* ranks = nullptr;  // each reads its own samples; null: one process
};

// Runs the model with the values as further graph outputs, in one session that
// all jobs share, and calls `visit(slot, i, elements)` for each batch and each
// value i, one batch on one thread, and `fold(slot)` after it, one call at a
// time and in the data's order, from any thread; constants come first, once, on
// the first rank alone. A slot belongs to one batch at a time and is below
// `slots(data)`. Samples that only fill up a fixed batch are left out of values
// whose first dimension is the batch.
//
// `values`: distinct names of floating-point values of the top-level graph.
// Errors: kInput for others, and for data without samples.
class ValueStream {
 public:
  using Visit = std::function<void(size_t, size_t, const Elements&)>;
  using Fold = std::function<void(size_t)>;

  ValueStream(const ir::Model& model, std::vector<std::string> values);
  static size_t slots(const StreamData& data);
  void run(const StreamData& data, ProgressSink& progress,
           const CancelToken* cancel, const Visit& visit,
           const Fold& fold) const;

 private:
  void run_data(const StreamData& data, ProgressSink& progress,
                const CancelToken* cancel, const Visit& visit,
                const Fold& fold) const;

  const ir::Model& model_;
  std::vector<std::string> values_;
  // Indices: constants, model inputs, and what a session computes.
  std::vector<size_t> constants_, inputs_, computed_;
};

}  // namespace lathe::ranges
