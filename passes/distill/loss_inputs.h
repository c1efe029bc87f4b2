// Losses on tensors.
#pragma once

#include <cstdint>
#include <string>

#include "passes/distill/losses.h"
#include "passes/exec/torch.h"

namespace lathe::distill {

struct LossInputs {
  // [N, …], floating, of one device and one shape but for what the row allows.
  // Scores of classes are logits or logarithms of probabilities (scores_of());
  // the teacher's has no gradient. float16 and bfloat16 are computed in float.
  at::Tensor student, teacher;
  // [N] int64, or [N, C] float where labels are mixed; undefined without.
  at::Tensor labels;
  // Of classes (class_axis() in outputs.h) or of a feature's channels.
  int64_t axis = 1;
  std::string name;  // of the output or the feature, for messages
};

// A scalar with a gradient for the student: the mean over samples and, for
// scores of classes, the positions beside them. Errors: kUsage where the loss
// does not fit such tensors or a setting is out of range, kInput for labels
// that are no classes.
at::Tensor compute_loss(const LossRow& row, const LossInputs& inputs,
                        const LossSettings& settings);

// An output as scores: itself, or log(p) where it holds probabilities
// (ends_in_softmax() in outputs.h); 0 counts as 1e-30.
at::Tensor scores_of(const at::Tensor& output, bool probabilities);

}  // namespace lathe::distill
