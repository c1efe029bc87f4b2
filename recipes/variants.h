// Chooses, checks and names the model files that a run delivers.
#pragma once

#include <string>

#include "passes/executor.h"
#include "passes/ir/graph.h"
#include "recipes/deliver.h"
#include "recipes/report.h"

namespace lathe::recipes {

// For each latency target (without one: "1x", not slower than the input), the
// deepest stage whose model loads from its file, gives the stage's outputs, is
// not slower than the input model, keeps max_drop and the gates, and meets the
// target; or an earlier one that does so too, is as accurate and faster by more
// than noise. A stage that changed nothing stands for the one before. Where
// none does, the deepest (or as accurate and faster) that loads and is not
// slower is delivered with met false and the reason. What is passed over goes
// to report.rejected. Fills variants, rejected, gates and exit_code; files lie
// in scratch/variant-*/ until deliver_variants(). Needs context.scorer.
void choose_variants(const DeliveryContext& context, Report& report);

// Moves the chosen files to `folder`/variants, and removes variants of an
// earlier run in the folder that are not among them.
void deliver_variants(const Report& report, const Scratch& scratch,
                      const std::filesystem::path& folder);

// Exports to `file`, loads it in the runtime and compares its
// outputs with the model's in memory. Returns what is wrong, or "".
std::string write_checked(const ir::Model& model,
                          const std::filesystem::path& file,
                          const NamedTensors& inputs);

}  // namespace lathe::recipes
