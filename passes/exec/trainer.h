// The training loop: what is the same whatever is learned.
//
// A run that is killed goes on from its last checkpoint to the same bits, on
// one machine with the same threads: every random number follows from the seed
// and the step, and the checkpoint holds the rest.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "passes/batch_source.h"
#include "passes/exec/optimizer.h"
#include "passes/exec/process_group.h"
#include "passes/exec/program.h"
#include "passes/pass_context.h"

namespace lathe::exec {

struct TrainingBatch {
  Program::Named inputs;
  at::Tensor labels;  // [N] int64; undefined without
  // Mixup (Zhang et al. 2018): inputs are `share` of their own sample and the
  // rest of the one whose label is here. Undefined where nothing is mixed.
  at::Tensor other_labels;
  double share = 1;
  // The samples' numbers, where they are read as they are: nothing varied,
  // nothing mixed. Else empty.
  std::vector<int64_t> indices;
  int64_t samples = 0;
};

// What a loss is made of, for people.
struct LossTerms {
  std::vector<std::pair<std::string, double>> terms;  // weighted
  int64_t correct = 0, judged = 0;  // right by label, or as the teacher

  // Terms of equal names, `weight` times, and counts.
  void add(const LossTerms& more, double weight);
};

class TrainingTask {
 public:
  virtual ~TrainingTask() = default;
  virtual std::vector<TrainedTensor> trained() = 0;
  // What training changes beside: running statistics.
  virtual NamedValues buffers() = 0;
  virtual void set_training(bool on) = 0;
  // A scalar: the mean over the samples.
  virtual at::Tensor loss(const TrainingBatch& batch, LossTerms& terms) = 0;
  // After each step of the optimizer.
  virtual void after_step() {}
  // The run ends because a value is not finite; tensors hold the last good
  // ones. Returns the file they were written to, or nothing.
  virtual std::string keep_last_good() { return ""; }
};

// A line of metrics.jsonl.
struct TrainingPoint {
  int64_t step = 0;  // steps done
  double epoch = 0, seconds = 0, learning_rate = 0, samples_per_s = 0;
  double loss = 0;  // mean since the point before
  std::vector<std::pair<std::string, double>> terms;
  std::optional<double> accuracy, gradient_norm;
  std::optional<double> held_out_loss, held_out_accuracy;
};

struct TrainingReport {
  int64_t steps = 0, samples = 0;  // of all ranks
  int64_t samples_per_step = 0;    // the same
  double seconds = 0;              // all sessions together
  double waiting_s = 0;            // of this one, for data
  int64_t resumed_at = 0;          // 0: it began anew
  // Where samples are held out: whose weights are the result; 0: those that it
  // began with. Else 0, and the result is the last.
  int64_t best_step = 0;
  bool stopped_early = false;
  std::vector<TrainingPoint> curve;
};

// The curve and the rest as a JSON object.
std::string to_json(const TrainingReport& report);

// Trains until the steps or the time are used up, or nothing gets better, and
// leaves the best weights in the task's tensors. `fingerprint` tells which run
// a checkpoint belongs to; `group` may be null. Each rank reads its share; rank
// 0 writes. Errors: kUsage for options that do not go together; kInput for a
// checkpoint of another run; kInternal with the step where the loss is not
// finite; kInterrupted, after a checkpoint, where it is cancelled.
TrainingReport train(TrainingTask& task, BatchSource& data,
                     const TrainOptions& options,
                     const std::string& fingerprint, ProcessGroup* group,
                     PassContext& context);

}  // namespace lathe::exec
