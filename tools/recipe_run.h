// Running a recipe from a command: flags over it, progress, the result.
#pragma once

#include <filesystem>
#include <string>

#include "recipes/recipe.h"
#include "recipes/report.h"
#include "recipes/run.h"
#include "tools/command.h"

namespace lathe::cli {

// The preset's stages for a model and a data spec (may be empty). Paths start
// in the working folder.
recipes::Recipe recipe_from_preset(const std::string& preset,
                                   const std::string& model,
                                   const std::string& data);

// Sets what the shared flags on the command line say: seed, samples, threads,
// input shapes.
void apply_shared_flags(const SharedFlags& flags, recipes::Recipe& recipe);

// With --device: another device's latency is judged by its 95th percentile
// (recipes/targets.h), so that is what is pruned for.
inline constexpr double kNamedDeviceConfidence = 0.95;

// Where the results go: a folder, or one file without scores.
struct Destination {
  std::filesystem::path folder, file;
  std::filesystem::path plan = {};  // of the last stage that made one
  std::filesystem::path html = {};  // of how training went
  bool score = false;               // a file as well; a folder always is
};

// Runs it and prints the report's JSON or its tables; returns the exit code.
int run_recipe(const recipes::Recipe& recipe, const Destination& destination,
               Context& context);

// Prints the recipe itself, paths made absolute.
int print_recipe(const recipes::Recipe& recipe);

}  // namespace lathe::cli
