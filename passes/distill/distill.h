// Training a student to compute what its teacher computes. Without LibTorch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/distill/losses.h"
#include "passes/exec/train_options.h"
#include "passes/pass.h"

namespace lathe::distill {

// One part of the sum that is made small.
struct LossSpec {
  std::string loss;  // a row of loss_table()
  double weight = 1;
  // The teacher's output that it looks at; empty: each that it fits. Losses on
  // features have none.
  std::string output = {};
  LossSettings settings = {};
};

enum class TrainingMode {
  kEndToEnd,
  // Block after block, each by itself, on samples that are held in memory: the
  // student's own input of the block, the teacher's output. Cheap: the teacher
  // runs once, and nothing is differentiated beyond a block.
  kBlocks,
};

struct DistillOptions {
  TrainingMode mode = TrainingMode::kEndToEnd;
  // Empty: by default_loss() of each output, and beside it, where there are
  // labels and one output holds classes, cross_entropy.
  std::vector<LossSpec> losses = {};
  int64_t feature_pairs = 4;  // at most so many, where a loss looks inside
  // A student whose activations are float trains with a BatchNormalization
  // behind each Conv, folded at the end, where a batch has 16 samples or more.
  bool unfold_batch_norm = true;
  // In place of train.optimizer's; none: 0.0005 of AdamW; of SGD, where the
  // student trains with BatchNormalization, 0.05, or 0.02 for less than 5,000
  // samples, else 0.01.
  std::optional<double> learning_rate = {};
  // held_out below 0: a tenth of the samples, at most a thousand.
  exec::TrainOptions train = {};
  // kBlocks: samples held in memory, and how often each of them is seen.
  int64_t block_samples = 1024;
  int64_t block_epochs = 8;
  // Bytes of the teacher's outputs kept on disk, where every sample comes as it
  // is; 0: none.
  int64_t teacher_cache_bytes = int64_t{4} << 30;
  // The options as the user wrote them: a checkpoint of others is refused.
  std::string text = {};
};

// In context.work_folder: of every rank; further ranks' with ".N".
inline constexpr const char* kTeacherCacheFile = "teacher_outputs";
// Removes what is of no use once the result is written.
void forget_progress(const std::filesystem::path& work_folder);

// Learns from context.input; needs context.data. A student with codes (QDQ) is
// trained through fake quantization with learned steps, and stays what it is.
// Checkpoint, metrics.jsonl, the teacher's outputs and, where a loss is not
// finite, last_good.onnx lie in context.work_folder. Errors as exec::train;
// kUsage for a loss that fits no output, kUnsupported for a student that cannot
// be trained.
std::unique_ptr<Pass> make_distill(DistillOptions options);

// Replaces the model by another file's, with the same inputs and outputs: by
// name, else by order; it takes over the names. Error kInput where they cannot
// go together.
std::unique_ptr<Pass> make_load_student(std::filesystem::path path);

}  // namespace lathe::distill
