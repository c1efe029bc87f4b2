// Saliency on small networks and given samples.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "passes/base/random.h"
#include "passes/batch_source.h"
#include "passes/ir/graph.h"
#include "passes/pass_context.h"
#include "passes/prune/saliency.h"

namespace lathe::test {

// Batches of one input, always in the order in which they were given.
class GivenBatches final : public BatchSource {
 public:
  explicit GivenBatches(std::vector<Batch> batches)
      : batches_(std::move(batches)) {
    for (const Batch& batch : batches_) size_ += batch.samples;
  }
  // `count` batches of standard normal numbers for the model's first input,
  // labels below `classes` where it is not 0.
  static GivenBatches normal(const ir::Model& model, int64_t count,
                             int64_t classes = 0, uint64_t seed = 1);

  int64_t size() const override { return size_; }
  bool has_labels() const override {
    return !batches_.empty() && !batches_[0].labels.empty();
  }
  bool is_synthetic() const override { return false; }
  std::string description() const override { return "given batches"; }
  std::unique_ptr<BatchReader> read(const ReadOptions&) override;

  std::vector<Batch>& batches() { return batches_; }

 private:
  std::vector<Batch> batches_;
  int64_t size_ = 0;
};

// A batch for the input x.
Batch batch_of(const std::vector<int64_t>& dims,
               const std::vector<float>& values,
               const std::vector<int64_t>& labels = {});

// From the text form's nodes, shapes inferred; opset 17.
ir::Model text_model(const std::string& body);

prune::Saliency saliency_of(const ir::Model& model,
                            const prune::SaliencyOptions& options,
                            BatchSource* data = nullptr, int jobs = 1);

}  // namespace lathe::test
