// What a student is held to: one row a loss (loss_<name>.cc). The table needs
// no LibTorch; what computes with it is in loss_inputs.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace at {
class Tensor;
}

namespace lathe::distill {

struct LossInputs;  // passes/distill/loss_inputs.h

// Where a loss looks.
enum class LossPlace {
  kOutput,   // a pair of outputs
  kFeature,  // a pair of values inside (feature_pairs.h)
};

struct LossSettings {
  double temperature = 4;  // of kl, dkd and dist; above 0
  // dkd: of the target class, of the others. dist: between classes of a sample,
  // between samples of a class.
  double alpha = 1, beta = 1;
};

struct LossRow {
  const char* name;
  const char* summary;  // for `lathe list losses` and the docs
  LossPlace place;
  // It looks at labels, and not at the teacher.
  bool needs_labels = false;
  // Its axis holds scores of classes, two or more.
  bool needs_classes = false;
  // The student's axis may be of another size than the teacher's.
  bool any_channels = false;
  // There is more than one position beside channels.
  bool needs_positions = false;
  LossSettings defaults = {};  // unless the user says otherwise
  // Called by compute_loss() (loss_inputs.h), which checks the inputs.
  void (*compute)(const LossInputs& inputs, const LossSettings& settings,
                  at::Tensor& loss) = nullptr;
};

std::span<const LossRow> loss_table();
std::vector<std::string> loss_names();
// Error kUsage with the nearest name.
const LossRow& find_loss(std::string_view name);

}  // namespace lathe::distill
