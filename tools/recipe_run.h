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

// What the commands that write one file are given beside their own options;
// empty: not given.
struct FileJob {
  std::string command;  // "lathe prune", for errors
  std::string eval = {}, device = {};
  std::string latency = {}, max_drop = {};  // to be judged
  std::filesystem::path output = {}, plan = {}, html = {};
  bool score = false;  // even where nothing of the above is to be judged
  bool print = false;  // the recipe, and run nothing
};
int run_file_job(recipes::Recipe recipe, const FileJob& job, Context& context);

// Runs it and prints the report's JSON or its tables; returns the exit code.
int run_recipe(const recipes::Recipe& recipe, const Destination& destination,
               Context& context);

// Prints the recipe itself, paths made absolute.
int print_recipe(const recipes::Recipe& recipe);

}  // namespace lathe::cli
