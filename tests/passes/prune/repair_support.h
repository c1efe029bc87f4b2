// Pruned models beside their dense ones, and samples for them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "passes/batch_source.h"
#include "passes/ir/graph.h"
#include "passes/prune/prune.h"
#include "passes/prune/repair.h"

namespace lathe::test {

// Standard normal samples for the model's only input, in batches as large as
// asked for; in the same order whatever the seed.
class DrawnSamples final : public BatchSource {
 public:
  DrawnSamples(const ir::Model& model, int64_t count, uint64_t seed = 1);

  int64_t size() const override { return count_; }
  bool has_labels() const override { return false; }
  bool is_synthetic() const override { return false; }
  std::string description() const override { return "drawn samples"; }
  std::unique_ptr<BatchReader> read(const ReadOptions& options) override;

 private:
  std::string input_;
  std::vector<int64_t> dims_;  // of one sample, without the batch
  int64_t count_;
  uint64_t seed_;
};

// Of units of groups, by the group's name.
using Removed = std::map<std::string, std::vector<size_t>>;

// One line a remark: "node: reason".
std::string remarks_of(const PassResult& result);

struct PrunedModel {
  ir::Model dense, model;
  prune::ChannelGroups groups;
  prune::Selection selection;

  // `body` as text_model() takes it.
  PrunedModel(const std::string& body, const Removed& removed);

  PassResult repair(BatchSource& data, const prune::RepairOptions& options = {},
                    int jobs = 2);
  PassResult run(std::unique_ptr<Pass> pass, BatchSource& data);
  // What the outputs differ by at most on samples that repair did not see,
  // relative to the largest element of the dense model's.
  double difference() const;
};

// All outputs, for `count` samples of that seed in one batch, or one by one
// where the model fixes its batch size.
std::vector<std::vector<float>> outputs_of(const ir::Model& model,
                                           int64_t count = 16,
                                           uint64_t seed = 99);

}  // namespace lathe::test
