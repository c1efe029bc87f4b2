// Samples in memory, read as ReadOptions say, but for augmentation.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "passes/base/random.h"
#include "passes/batch_source.h"

namespace lathe::test {

class MemorySamples final : public BatchSource {
 public:
  // `inputs`: float [samples, …] each. `labels`: one a sample, or none.
  MemorySamples(std::vector<std::pair<std::string, ir::Tensor>> inputs,
                std::vector<int64_t> labels)
      : inputs_(std::move(inputs)), labels_(std::move(labels)) {}

  int64_t size() const override { return inputs_.front().second.dims()[0]; }
  bool has_labels() const override { return !labels_.empty(); }
  bool is_synthetic() const override { return synthetic; }
  std::string description() const override { return "memory"; }

  std::unique_ptr<BatchReader> read(const ReadOptions& options) override {
    return std::make_unique<Reader>(*this, options);
  }

  bool synthetic = false;

 private:
  std::vector<int64_t> order(const ReadOptions& options) const {
    std::vector<int64_t> all(static_cast<size_t>(size()));
    std::iota(all.begin(), all.end(), 0);
    if (options.part != ReadOptions::Part::kAll) {
      Random(options.held_out_seed).shuffle(all);
      const auto border = all.begin() + options.held_out;
      if (options.part == ReadOptions::Part::kHeldOut)
        all.erase(border, all.end());
      else
        all.erase(all.begin(), border);
    }
    if (options.shuffle_seed)
      Random(derive_seed(static_cast<uint64_t>(*options.shuffle_seed),
                         "epoch " + std::to_string(options.epoch)))
          .shuffle(all);
    std::vector<int64_t> mine;
    for (size_t i = 0; i < all.size(); ++i)
      if (static_cast<int64_t>(i) % options.ranks == options.rank)
        mine.push_back(all[i]);
    const auto skipped = std::min<int64_t>(options.first_sample,
                                           static_cast<int64_t>(mine.size()));
    mine.erase(mine.begin(), mine.begin() + skipped);
    return mine;
  }

  Batch batch(const std::vector<int64_t>& indices) const {
    Batch made;
    made.samples = static_cast<int64_t>(indices.size());
    made.indices = indices;
    for (const auto& [name, all] : inputs_) {
      std::vector<int64_t> dims = all.dims();
      const auto row = static_cast<size_t>(all.size() / dims[0]);
      dims[0] = made.samples;
      std::vector<float> values;
      for (const int64_t index : indices) {
        const auto from =
            all.data<float>().subspan(static_cast<size_t>(index) * row, row);
        values.insert(values.end(), from.begin(), from.end());
      }
      made.inputs.emplace_back(name, ir::Tensor::from<float>(dims, values));
    }
    if (has_labels())
      for (const int64_t index : indices)
        made.labels.push_back(labels_[static_cast<size_t>(index)]);
    return made;
  }

  class Reader final : public BatchReader {
   public:
    Reader(const MemorySamples& samples, const ReadOptions& options)
        : samples_(samples),
          options_(options),
          order_(samples.order(options)) {}
    std::optional<Batch> next() override {
      const size_t count = std::min(order_.size() - at_,
                                    static_cast<size_t>(options_.batch_size));
      if (count == 0 || (options_.drop_last &&
                         static_cast<int64_t>(count) < options_.batch_size))
        return std::nullopt;
      const auto from = order_.begin() + static_cast<int64_t>(at_);
      at_ += count;
      return samples_.batch({from, from + static_cast<int64_t>(count)});
    }

   private:
    const MemorySamples& samples_;
    const ReadOptions options_;
    const std::vector<int64_t> order_;
    size_t at_ = 0;
  };

  std::vector<std::pair<std::string, ir::Tensor>> inputs_;
  std::vector<int64_t> labels_;
};

}  // namespace lathe::test
