// What a student is held to: one row a loss (loss_<name>.cc).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/exec/torch.h"

namespace lathe::distill {

// Where a loss looks.
enum class LossPlace {
  kOutput,   // a pair of outputs
  kFeature,  // a pair of values inside (feature_pairs.h)
};

struct LossInputs {
  // Of one shape, [N, …], floating; a row's comment says what else. The
  // teacher's has no gradient.
  at::Tensor student, teacher;
  // [N] int64, or [N, C] float where labels are mixed; undefined without.
  at::Tensor labels;
};

struct LossSettings {
  double temperature = 4;  // of kl, dkd and dist
  // dkd: of the target class, of the others. dist: between classes of a sample,
  // between samples of a class.
  double alpha = 1, beta = 8;
};

struct LossRow {
  const char* name;
  const char* summary;  // for `lathe list losses` and the docs
  LossPlace place;
  bool needs_labels = false;
  // The last axis (axis 1 of [N, C, …]) holds scores of classes.
  bool needs_classes = false;
  // A scalar with a gradient: the mean over samples.
  at::Tensor (*compute)(const LossInputs& inputs, const LossSettings& settings);
};

std::span<const LossRow> loss_table();
std::vector<std::string> loss_names();
// Error kUsage with the nearest name.
const LossRow& find_loss(std::string_view name);

}  // namespace lathe::distill
