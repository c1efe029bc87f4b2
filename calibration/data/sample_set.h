// What a data format implements: samples by number. Reading in batches, order,
// subsets and decoding ahead are the same for every format (sample_source.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "calibration/data/variation.h"
#include "passes/batch_source.h"
#include "passes/ir/tensor.h"

namespace lathe::data {

struct Sample {
  // By model input. Without the batch dimension, unless the set is whole().
  std::vector<std::pair<std::string, ir::Tensor>> inputs;
  int64_t label = 0;  // where the set has labels
};

class SampleSet {
 public:
  virtual ~SampleSet() = default;
  virtual int64_t size() const = 0;
  virtual bool has_labels() const = 0;
  virtual bool is_synthetic() const { return false; }
  // Samples hold all of the model's dimensions and are not stacked: a batch is
  // one sample.
  virtual bool whole() const { return false; }
  // Whether load() varies its samples.
  virtual bool has_images() const { return false; }
  // The format and where it comes from, without the number of samples.
  virtual std::string description() const = 0;
  // What messages call a sample.
  virtual std::string name(int64_t index) const = 0;
  // Thread-safe, and the same for the same arguments. `variation`: present
  // when the sample is to be varied, as the data set says and as it says
  // itself; what has no images ignores it. Errors: kInput.
  virtual Sample load(int64_t index,
                      const std::optional<Variation>& variation) const = 0;
};

std::unique_ptr<BatchSource> make_source(std::shared_ptr<const SampleSet> set,
                                         int jobs);

// The samples `indices` of a set, in that order.
std::shared_ptr<const SampleSet> subset(std::shared_ptr<const SampleSet> set,
                                        std::vector<int64_t> indices);

// The samples of any source. Those of make_source are taken as they are, others
// are read one at a time.
std::shared_ptr<const SampleSet> samples_of(
    std::shared_ptr<BatchSource> source);

}  // namespace lathe::data
