// The demo's teacher: a small convolutional network trained from scratch.
#pragma once

#include <cstdint>

#include "passes/base/progress.h"
#include "passes/batch_source.h"
#include "passes/ir/graph.h"

namespace lathe::distill {

struct TeacherOptions {
  int epochs = 6;
  int64_t batch_size = 64;
  uint64_t seed = 0;
  int jobs = 0;  // LibTorch threads
};

// Trains on labelled images [N, 3, H, W] of `classes` classes and returns the
// model (opset 17, dynamic batch, BatchNormalization kept, input "image",
// output "logits"). Same seed, jobs and machine: same bytes.
ir::Model train_demo_teacher(BatchSource& data, int64_t classes,
                             const TeacherOptions& options,
                             ProgressSink& progress, const CancelToken* cancel);

}  // namespace lathe::distill
