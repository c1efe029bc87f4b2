// The ranges that activations take over calibration data.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "passes/affine.h"
#include "passes/base/error.h"
#include "passes/base/progress.h"
#include "passes/batch_source.h"
#include "passes/ir/data_type.h"
#include "passes/ir/graph.h"

namespace lathe {

// Value name -> range. A value that never had an element is missing.
using ActivationRanges = std::unordered_map<std::string, Range>;

// How ranges follow from the elements that were seen, and what they are for.
struct ObserverOptions {
  // A row of calibration/ranges' table; empty: its default.
  std::string name = {};
  // Observer "percentile": this share of the elements lies in the range, the
  // rest half below and half above; above 50, at most 100.
  double percentile = 99.999;
  // What the values become: the quantizer whose error "entropy" and "mse" look
  // at. For a symmetric one, of a range [a, b] only max(|a|, |b|) counts.
  ir::DataType activation_type = ir::DataType::kUint8;
  bool symmetric = false;
};

// A value and the axis of its channels; -1 is the last one.
struct ChannelRequest {
  std::string value;
  int64_t axis = 1;
};

// Value name -> the range of each channel, in order. A channel without finite
// elements has the range {0, 0}.
using ChannelRanges = std::unordered_map<std::string, std::vector<Range>>;

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

  // The same by another observer than the collector's own. Errors besides:
  // kUsage for a name or percentile that there is none of.
  virtual ActivationRanges collect(const ir::Model& model,
                                   const std::vector<std::string>& values,
                                   const ObserverOptions& /*observer*/,
                                   ProgressSink& progress,
                                   const CancelToken* cancel) {
    return collect(model, values, progress, cancel);
  }

  // Least and largest element of each channel. Every sample must have the same
  // number of channels. `samples`: how many of them to look at, drawn from all;
  // 0: all. Errors as collect's; kInput for an axis that a value does not have.
  virtual ChannelRanges collect_channels(
      const ir::Model& /*model*/,
      const std::vector<ChannelRequest>& /*requests*/,
      ProgressSink& /*progress*/, const CancelToken* /*cancel*/,
      int64_t /*samples*/ = 0) {
    throw_internal("ranges", "this collector knows no channels");
  }

  // Value name -> how many elements were NaN or infinite in the last call of
  // collect(), for values that had any; the range leaves them out.
  virtual std::unordered_map<std::string, uint64_t> not_finite() const {
    return {};
  }
};

}  // namespace lathe
