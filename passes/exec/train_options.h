// How a model is trained: what people set. Without LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "passes/batch_source.h"

namespace lathe::exec {

enum class OptimizerKind { kSgd, kAdamW };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  double learning_rate = 0.01;  // at the schedule's peak
  double weight_decay = 5e-4;   // adamw: decoupled (Loshchilov, Hutter 2019)
  double momentum = 0.9;        // sgd
  bool nesterov = true;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adamw
};

// "sgd", "adamw".
std::vector<std::string> optimizer_names();
// Error kUsage with the nearest name.
OptimizerKind find_optimizer(const std::string& name);

struct Schedule {
  std::string name = "cosine";
  double warm_up = 0.05;  // share of the steps, linear from zero; not one-cycle
  // Shares of the steps at which "step" multiplies by gamma.
  std::vector<double> milestones = {0.5, 0.75};
  double gamma = 0.1;
};

// "cosine", "step", "one-cycle", "constant".
std::vector<std::string> schedule_names();

// What the peak rate is multiplied by at `step` of `steps`, counted from 0:
//   cosine     half a cosine from 1 to 0 (Loshchilov and Hutter 2017)
//   step       gamma at each milestone
//   one-cycle  half a cosine from 1/25 to 1 over 30%, another down to 4e-6
//              (Smith and Topin 2019)
//   constant   1
// Error kUsage for an unknown name.
double learning_rate_factor(const Schedule& schedule, int64_t step,
                            int64_t steps);

// In TrainOptions::folder. A run that has ended leaves it there: whoever writes
// the result removes it.
inline constexpr const char* kCheckpointFile = "checkpoint";

struct TrainOptions {
  // One of the two. Steps of a time budget follow from a trial at the start and
  // are corrected while it goes; a run by steps repeats to the bit.
  std::optional<int64_t> steps = {};
  std::optional<double> time_budget_s = {};

  int64_t batch_size = 64;  // of each rank
  int64_t accumulate = 1;   // batches to a step
  OptimizerOptions optimizer = {};
  Schedule schedule = {};
  double clip_norm = 1;        // 0: gradients are not clipped
  double ema_decay = 0;        // 0: no average is kept
  bool bfloat16 = false;       // autocast
  std::string device = "cpu";  // where it is computed: "cpu", "cuda"

  bool augment = false;
  Augmentation augmentation = {};
  double mixup = 0;  // alpha of its Beta distribution; 0: none

  // Samples kept aside; what does best on them is the result.
  int64_t held_out = 0;
  int64_t evaluate_every = 0;  // steps; 0: twenty times in all
  int64_t patience = 0;  // evaluations without a better one; 0: no early stop

  // Holds the checkpoint and metrics.jsonl; empty: neither is written.
  std::filesystem::path folder = {};
  double checkpoint_seconds = 30;
  bool restart = false;  // a checkpoint that is there is thrown away
};

}  // namespace lathe::exec
