#include "passes/distill/losses.h"

#include <algorithm>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/distill/loss_rows.h"

namespace lathe::distill {
namespace {

constexpr LossRow kRows[] = {
    {.name = "kl",
     .summary = "divergence from the teacher's softened class probabilities",
     .place = LossPlace::kOutput,
     .needs_classes = true,
     .compute = kl_loss},
    {.name = "dkd",
     .summary = "the same, split into the target class and the others",
     .place = LossPlace::kOutput,
     .needs_classes = true,
     .defaults = {.temperature = 4, .alpha = 1, .beta = 8},
     .compute = dkd_loss},
    {.name = "dist",
     .summary = "correlation with the teacher between classes and samples",
     .place = LossPlace::kOutput,
     .needs_classes = true,
     .compute = dist_loss},
    {.name = "mse",
     .summary = "squared error in units of the teacher's variance",
     .place = LossPlace::kOutput,
     .compute = mse_loss},
    {.name = "cosine",
     .summary = "angle between the outputs of a sample",
     .place = LossPlace::kOutput,
     .compute = cosine_loss},
    {.name = "cross_entropy",
     .summary = "log-likelihood of the labels",
     .place = LossPlace::kOutput,
     .needs_labels = true,
     .needs_classes = true,
     .compute = cross_entropy_loss},
    {.name = "features",
     .summary = "squared error of values inside, in units of the teacher's "
                "variance",
     .place = LossPlace::kFeature,
     .compute = features_loss},
    {.name = "attention",
     .summary = "where in an image or sequence the channels are strong",
     .place = LossPlace::kFeature,
     .any_channels = true,
     .needs_positions = true,
     .compute = attention_loss},
};

}  // namespace

std::span<const LossRow> loss_table() { return kRows; }

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const LossRow& row : kRows) names.emplace_back(row.name);
  return names;
}

const LossRow& find_loss(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, [](const LossRow& row) {
    return std::string_view(row.name);
  });
  if (found != std::end(kRows)) return *found;
  const std::vector<std::string> names = loss_names();
  throw Error(ErrorKind::kUsage, "loss '" + std::string(name) + "'",
              "there is no such loss" + did_you_mean(name, names),
              "the losses are " + join(names, ", "));
}

}  // namespace lathe::distill
