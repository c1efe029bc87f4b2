// The functions of losses.cc's table, and what they share. Internal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "passes/distill/losses.h"

namespace lathe::distill {

void kl_loss(const LossInputs&, const LossSettings&, at::Tensor& loss);
void dkd_loss(const LossInputs&, const LossSettings&, at::Tensor& loss);
void dist_loss(const LossInputs&, const LossSettings&, at::Tensor& loss);
void mse_loss(const LossInputs&, const LossSettings&, at::Tensor& loss);
void cosine_loss(const LossInputs&, const LossSettings&, at::Tensor& loss);
void cross_entropy_loss(const LossInputs&, const LossSettings&,
                        at::Tensor& loss);
void features_loss(const LossInputs&, const LossSettings&, at::Tensor& loss);
void attention_loss(const LossInputs&, const LossSettings&, at::Tensor& loss);

// Error kUsage: the loss does not fit.
[[noreturn]] void throw_unfit(std::string_view loss, const std::string& output,
                              const std::string& what,
                              const std::string& hint = "");
// Error kInput for a label that is not in [0, classes).
void check_labels(const at::Tensor& labels, int64_t classes);

// The axis as the last one, the others as rows: [N, …, C] -> [M, C].
at::Tensor class_rows(const at::Tensor& scores, int64_t axis);

// Mean over rows of KL(softmax(teacher) || softmax(student)), both [M, C]. A
// class that the teacher rules out adds nothing, whatever the student says.
at::Tensor mean_kl(const at::Tensor& student, const at::Tensor& teacher);

// mean((s - t)^2) / var(t): 1 where the student always says the teacher's mean.
// Where the teacher's values are all the same, their square is what divides; 1
// where they are 0.
at::Tensor relative_mse(const at::Tensor& student, const at::Tensor& teacher);

// <s, t> / (|s| |t|) of rows, both [M, D] -> [M]; 0 where one is 0. The norm
// that divides is no less than a thousandth of the teacher's, which
// bounds the gradient.
at::Tensor row_cosine(const at::Tensor& student, const at::Tensor& teacher);

}  // namespace lathe::distill
