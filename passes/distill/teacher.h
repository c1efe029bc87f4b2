// What a student learns from: another model's outputs, and values inside it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "passes/exec/trainer.h"
#include "passes/executor.h"
#include "passes/ir/graph.h"

namespace lathe::distill {

// Outputs of samples, by their numbers, in a file: a record a sample, which is
// taken only where its checksum says that it was written whole.
class OutputCache {
 public:
  // Takes over what a run of the same fingerprint left. Nothing is kept where
  // `bytes` would be exceeded. Error kIo.
  OutputCache(std::filesystem::path path, const std::string& fingerprint,
              int64_t samples, int64_t bytes);
  ~OutputCache();
  OutputCache(const OutputCache&) = delete;
  OutputCache& operator=(const OutputCache&) = delete;

  // Outputs of a batch, [N, …] each; empty where one of them is missing.
  std::vector<at::Tensor> find(const std::vector<int64_t>& indices);
  void keep(const std::vector<int64_t>& indices,
            const std::vector<at::Tensor>& outputs);
  int64_t hits = 0;  // batches

 private:
  struct Layout;
  bool fits(const std::vector<at::Tensor>& outputs);
  void read_head();
  void write_head();
  std::filesystem::path path_;
  std::string fingerprint_;
  int64_t samples_, bytes_;
  int file_ = -1;
  std::unique_ptr<Layout> layout_;  // of a record, after the first batch
};

class Teacher {
 public:
  struct Answer {
    std::vector<at::Tensor> outputs;   // in the graph's order
    std::vector<at::Tensor> features;  // as asked for
  };

  // `features`: names of values of the model. On the CPU `executor` runs it,
  // where there is one and it can. `cache` may be null.
  Teacher(const ir::Model& model, const std::vector<std::string>& features,
          at::Device device, const Executor* executor,
          std::unique_ptr<OutputCache> cache);

  // Without gradients.
  Answer answer(const exec::TrainingBatch& batch);
  const OutputCache* cache() const { return cache_.get(); }

 private:
  Answer compute(const exec::TrainingBatch& batch);

  const size_t outputs_;
  std::unique_ptr<Executable> executable_;  // of outputs, then features
  std::unique_ptr<exec::Program> program_;  // where that is null
  std::vector<at::Tensor> features_;
  std::unique_ptr<OutputCache> cache_;
};

}  // namespace lathe::distill
