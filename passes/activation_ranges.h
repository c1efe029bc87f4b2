// The ranges that activations take over calibration data.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "passes/affine.h"
#include "passes/base/progress.h"
#include "passes/batch_source.h"
#include "passes/ir/graph.h"

namespace lathe {

// Value name -> range. A value that never had an element is missing.
using ActivationRanges = std::unordered_map<std::string, Range>;

// Collects ranges by running the model; calibration/ranges implements it. The
// memory it needs does not grow with the number of samples, and the result
// depends neither on jobs nor on the order in which samples finish.
class RangeCollector {
 public:
  virtual ~RangeCollector() = default;
  // `values`: names of float values of the top-level graph (inputs included).
  // Errors: kInput when a value is never finite, naming it.
  virtual ActivationRanges collect(const ir::Model& model,
                                   const std::vector<std::string>& values,
                                   ProgressSink& progress,
                                   const CancelToken* cancel) = 0;
};

}  // namespace lathe
