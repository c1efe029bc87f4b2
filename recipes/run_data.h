// The samples of a run: which part calibrates, which part scores.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "passes/batch_source.h"
#include "passes/ir/graph.h"
#include "recipes/recipe.h"
#include "recipes/report.h"
#include "recipes/run.h"

namespace lathe::recipes {

struct RunData {
  // Both null without data; the same object where one set does both.
  std::shared_ptr<BatchSource> calibration, scoring;
  std::vector<std::string> notes;
};

// With eval: data calibrates, eval scores. Without: labelled data is split in
// two halves by the recipe's seed, other data does both. The split does not
// depend on whether anything is scored, so that a recipe gives the same bytes
// either way; options.score false only leaves eval unopened.
RunData open_run_data(const Recipe& recipe, const ir::Model& model,
                      const RunOptions& options);

DataReport describe(const BatchSource& source);

// The shapes latency and MACs are quoted for: the recipe's, then (for dynamic
// inputs) the first calibration sample's, then 1.
ir::InputShapes effective_shapes(const Recipe& recipe, const ir::Model& model,
                                 BatchSource* data);

// The first sample where it has those shapes, else seeded random tensors.
std::vector<std::pair<std::string, ir::Tensor>> bench_inputs(
    const ir::Model& model, const ir::InputShapes& shapes, BatchSource* data,
    uint64_t seed);

}  // namespace lathe::recipes
