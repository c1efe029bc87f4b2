// Samples for calibration, training and evaluation.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "passes/ir/tensor.h"

namespace lathe {

// Tensors for a model's inputs, by name. Every tensor of a batch that has a
// batch dimension has it as its first.
struct Batch {
  std::vector<std::pair<std::string, ir::Tensor>> inputs;
  std::vector<int64_t> labels;  // one a sample; empty when there are none
  // One a sample: its number in the data set, the same in every epoch. Empty
  // where the source does not number its samples.
  std::vector<int64_t> indices = {};
  int64_t samples = 0;

  const ir::Tensor* find(const std::string& input) const {
    for (const auto& [name, tensor] : inputs)
      if (name == input) return &tensor;
    return nullptr;
  }
};

// Variations of images for training, drawn anew for each sample and epoch.
struct Augmentation {
  bool flip = false;  // mirror left and right, every other time
  // Up to so many pixels each way, filled with zeros.
  int64_t shift = 0;
  // A crop of at least this share of the area, of 3/4 to 4/3 the aspect,
  // resized to the image's size; 1: none.
  double crop = 1;
  // With this probability a rectangle of 2% to 33% of the area becomes zeros.
  double erase = 0;

  bool any() const { return flip || shift > 0 || crop < 1 || erase > 0; }
  bool operator==(const Augmentation&) const = default;
};

// How to read: the same options give the same batches in the same order.
struct ReadOptions {
  int64_t batch_size = 1;
  std::optional<int64_t> shuffle_seed;  // absent: the data set's own order
  int epoch = 0;                        // with shuffle_seed: its own order each
  bool augment = false;                 // as the data set says, and
  Augmentation augmentation = {};       // this beside it; both need `augment`
  int64_t rank = 0, ranks = 1;  // this reader sees every ranks-th sample
  int64_t first_sample = 0;     // resume: samples of this rank to skip
  bool drop_last = false;       // leave out an incomplete last batch
  // A part set aside, drawn by seed: `held_out` samples of the data set.
  enum class Part { kAll, kHeldOut, kRest };
  Part part = Part::kAll;
  int64_t held_out = 0;
  uint64_t held_out_seed = 0;
};

// One pass over the data. Decoding runs ahead in parallel in bounded memory.
class BatchReader {
 public:
  virtual ~BatchReader() = default;
  // nullopt at the end. Errors: kInput with the file that does not decode.
  virtual std::optional<Batch> next() = 0;
};

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  virtual int64_t size() const = 0;  // samples
  virtual bool has_labels() const = 0;
  // Random input that stands for real data: said in reports.
  virtual bool is_synthetic() const = 0;
  // Whether Augmentation varies its samples.
  virtual bool has_images() const { return false; }
  virtual std::string description() const = 0;
  virtual std::unique_ptr<BatchReader> read(const ReadOptions& options) = 0;
};

}  // namespace lathe
