// Small models and data in memory for the tests of this folder.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/batch_source.h"
#include "passes/ir/text_format.h"
#include "passes/ranks.h"

namespace lathe::test {

inline ir::Model model_of(const std::string& graph) {
  return ir::parse_text("ir_version 8\nopset 17\n" + graph);
}

// What an expression throws: "kind: where: what (hint)".
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + ": " + error.what();
  }
  return "no error";
}

// Samples of one input "x" of `type`, stacked on request; every sample has the
// dims `dims` (without the batch).
class MemorySource final : public BatchSource {
 public:
  MemorySource(std::vector<int64_t> dims,
               std::vector<std::vector<float>> samples,
               std::vector<int64_t> labels = {},
               ir::DataType type = ir::DataType::kFloat)
      : dims_(std::move(dims)),
        samples_(std::move(samples)),
        labels_(std::move(labels)),
        type_(type) {}

  int64_t size() const override {
    return static_cast<int64_t>(samples_.size());
  }
  bool has_labels() const override { return !labels_.empty(); }
  bool is_synthetic() const override { return false; }
  std::string description() const override { return "memory"; }
  std::unique_ptr<BatchReader> read(const ReadOptions& options) override {
    ++reads;
    return std::make_unique<Reader>(*this, options);
  }
  int reads = 0;

 private:
  class Reader final : public BatchReader {
   public:
    Reader(const MemorySource& source, const ReadOptions& options)
        : source_(source), options_(options), at_(options.rank) {}
    std::optional<Batch> next() override {
      int64_t count = std::min(options_.batch_size,
                               shard_size(source_.size(), at_, options_.ranks));
      if (count <= 0) return std::nullopt;
      std::vector<double> values;
      Batch batch;
      batch.samples = count;
      for (int64_t i = 0; i < count; ++i, at_ += options_.ranks) {
        const auto& sample = source_.samples_[static_cast<size_t>(at_)];
        values.insert(values.end(), sample.begin(), sample.end());
        if (source_.has_labels())
          batch.labels.push_back(source_.labels_[static_cast<size_t>(at_)]);
      }
      std::vector<int64_t> dims = source_.dims_;
      dims.insert(dims.begin(), count);
      batch.inputs.emplace_back(
          "x", ir::Tensor::from_doubles(source_.type_, dims, values));
      return batch;
    }

   private:
    const MemorySource& source_;
    const ReadOptions options_;
    int64_t at_;
  };

  std::vector<int64_t> dims_;
  std::vector<std::vector<float>> samples_;
  std::vector<int64_t> labels_;
  ir::DataType type_;
};

inline std::vector<std::vector<float>> random_samples(int64_t count,
                                                      int64_t elements,
                                                      uint64_t seed) {
  Random random(seed);
  std::vector<std::vector<float>> samples(static_cast<size_t>(count));
  for (auto& sample : samples)
    for (int64_t i = 0; i < elements; ++i)
      sample.push_back(static_cast<float>(random.normal()));
  return samples;
}

}  // namespace lathe::test
