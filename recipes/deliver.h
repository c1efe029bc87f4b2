// Writes what a run made, all of it or nothing.
#pragma once

#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <vector>

#include "passes/executor.h"
#include "passes/ir/graph.h"
#include "recipes/report.h"
#include "recipes/scorer.h"
#include "recipes/scratch.h"

namespace lathe::recipes {

struct DeliveryContext {
  const Recipe& recipe;
  // The model after each stage; [0] is the input model. Same order and length
  // as report.stages.
  const std::vector<ir::Model>& models;
  const NamedTensors& inputs;  // to run a model on; empty: it is only loaded
  Scorer* scorer;              // null where nothing is scored
  const Scratch& scratch;
  const CancelToken* cancel;
  std::filesystem::path device_file;  // the profile; empty: not a file
  std::function<void(const std::string&)> note;
  // Sets the last stage's accuracy in the report; not valid: it stands there.
  std::future<void>* accuracy = nullptr;

  void check_cancelled() const {
    if (cancel) cancel->check();
  }
};

// Chooses the variants (variants.h) and writes them, manifest.json and, last,
// report.json. Needs the scorer.
void deliver_folder(const DeliveryContext& context,
                    const std::filesystem::path& folder, Report& report);

// Writes the last stage's model as one file, whatever it scores; that it is
// slower than the input, or misses a target, is a note and exit code 3. Error
// kUnsupported when the runtime refuses it.
void deliver_file(const DeliveryContext& context,
                  const std::filesystem::path& file, Report& report);

}  // namespace lathe::recipes
