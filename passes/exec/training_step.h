// One step of training, and a look at what is held out; over all ranks.
// Internal to the trainer.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "passes/exec/trainer.h"
#include "passes/exec/training_data.h"

namespace lathe::exec {

void copy_values(const std::vector<at::Tensor>& from,
                 const std::vector<at::Tensor>& to);
std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors);

// Who computes.
struct TrainingRanks {
  ProcessGroup* group = nullptr;  // null: one rank
  int64_t rank() const { return group ? group->rank() : 0; }
  int64_t count() const { return group ? group->ranks() : 1; }
  // Sums; nothing where there is one rank.
  void sum(std::vector<double>& values) const;
  // Rank 0's number.
  int64_t agreed(int64_t number) const;
};

class TrainingStep {
 public:
  struct Result {
    double loss = 0, gradient_norm = 0;
    int64_t samples = 0;
    LossTerms terms;
  };
  // A value that is not finite, and whose.
  struct NotFinite {
    double value = 0;
    std::string what;
  };

  TrainingStep(TrainingTask& task, const TrainOptions& options,
               TrainingRanks ranks, TrainingData& data, uint64_t seed);

  // Of what is trained, then the task's buffers.
  const std::vector<at::Tensor>& tensors() const { return tensors_; }
  Optimizer& optimizer() { return *optimizer_; }
  MovingAverage* average() { return average_.get(); }
  // Momenta and averages begin anew.
  void reset();

  // Step number `step`, which seeds what is random in it. Throws NotFinite
  // before anything is changed.
  Result run(int64_t step, double rate);
  // Mean loss of what is held out, and the share that is right where that is
  // known; of the averages, where there are any.
  std::pair<double, std::optional<double>> evaluate();

 private:
  void share(Result& result) const;

  TrainingTask& task_;
  const TrainOptions& options_;
  const TrainingRanks ranks_;
  TrainingData& data_;
  const uint64_t seed_;
  std::vector<TrainedTensor> trained_;
  std::vector<at::Tensor> tensors_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<MovingAverage> average_;
};

}  // namespace lathe::exec
