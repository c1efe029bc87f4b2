// A student, its teacher, and what the one is held to by the other. Internal.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "passes/distill/adapters.h"
#include "passes/distill/distill.h"
#include "passes/distill/feature_pairs.h"
#include "passes/distill/teacher.h"
#include "passes/distill/training_twin.h"
#include "passes/exec/trainer.h"

namespace lathe::distill {

// A loss on a pair of outputs.
struct OutputTerm {
  const LossRow* row = nullptr;
  LossSettings settings;
  double weight = 1;
  size_t output = 0;  // of both models
  std::string name;  // in metrics: the loss's, with the output where it matters
};

// A loss on every pair of features; their mean counts.
struct FeatureTerm {
  const LossRow* row = nullptr;
  LossSettings settings;
  double weight = 1;
};

struct OutputInfo {
  std::string name;
  int64_t axis = -1;  // of classes
  bool student_probabilities = false, teacher_probabilities = false;
};

// What is held to what.
struct Objective {
  std::vector<OutputInfo> outputs;
  std::vector<OutputTerm> output_terms;
  std::vector<FeatureTerm> feature_terms;
  std::vector<FeaturePair> pairs;
  int judged_output = -1;  // whose classes are counted as right or wrong
  bool needs_teacher = true;
  std::vector<std::string> remarks;
};

// From the options, or by what fits. Errors kUsage where a loss fits nothing.
// Both models with shapes.
Objective make_objective(const DistillOptions& options,
                         const ir::Model& student, const ir::Model& teacher,
                         bool has_labels);

// A term of one pair of outputs, unweighted. `labels`: as LossInputs'.
at::Tensor compute_output_loss(const Objective& objective,
                               const OutputTerm& term,
                               const at::Tensor& student,
                               const at::Tensor& teacher,
                               const at::Tensor& labels);

// What a program of the twin's model trains.
std::vector<exec::TrainedTensor> trained_tensors(const exec::Program& program,
                                                 const TrainingTwin& twin);

class DistillTask final : public exec::TrainingTask {
 public:
  struct Parts {
    const TrainingTwin* twin = nullptr;
    Objective objective;
    std::unique_ptr<Teacher> teacher;
    at::Device device = at::kCPU;
    uint64_t seed = 0;
    // Writes the student as it is; returns the file.
    std::function<std::string(const exec::Program&)> keep_last_good;
  };

  explicit DistillTask(Parts parts);

  exec::Program& program() { return *program_; }

  std::vector<exec::TrainedTensor> trained() override;
  exec::NamedValues buffers() override;
  void set_training(bool on) override { program_->set_training(on); }
  at::Tensor loss(const exec::TrainingBatch& batch,
                  exec::LossTerms& terms) override;
  void after_step() override { parts_.twin->clamp_scales(*program_); }
  std::string keep_last_good() override {
    return parts_.keep_last_good ? parts_.keep_last_good(*program_) : "";
  }

 private:
  void judge(const std::vector<at::Tensor>& outputs,
             const std::vector<at::Tensor>& answers,
             const exec::TrainingBatch& batch, exec::LossTerms& terms) const;

  Parts parts_;
  std::unique_ptr<exec::Program> program_;
  Adapters adapters_;
  std::vector<at::Tensor> features_;
};

}  // namespace lathe::distill
