#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "calibration/data/procedural.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "passes/distill/demo_teacher.h"
#include "passes/io/onnx/onnx.h"
#include "passes/rank_environment.h"
#include "recipes/targets.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/recipe_run.h"

namespace lathe::cli {
namespace {

constexpr int64_t kTrainImages = 6000;
constexpr int64_t kEvalImages = 2000;
constexpr int64_t kCalibrationImages = 512;

// Images of another seed are other images.
std::string descriptor(int64_t count, uint64_t seed) {
  return Json({{"format", "procedural"}, {"count", count}, {"seed", seed}})
      .dump();
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw Error(ErrorKind::kIo, folder.string(),
                "cannot create the folder: " + error.message());
}

// Workers of LibTorch's OpenMP spin between its many short kernels, which on
// busy cores costs far more than it gains (ten times the minutes on two shared
// ones). The library reads its policy only as it is loaded, so the program is
// started again with it; where that fails, training is slower and no more.
void start_with_waiting_workers() {
  constexpr char kPolicy[] = "OMP_WAIT_POLICY";
  if (std::getenv(kPolicy)) return;
  std::vector<std::string> words = split(read_file("/proc/self/cmdline"), '\0');
  words.pop_back();  // after the last terminator
  if (words.empty()) return;
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::setenv(kPolicy, "PASSIVE", /*overwrite=*/1);
  ::execv("/proc/self/exe", arguments.data());
}

int demo(const std::string& output, Context& context) {
  if (const int64_t ranks = rank_environment().ranks; ranks > 1)
    throw Error(ErrorKind::kUsage, "demo",
                fmt::format("it is one process's work, but the environment "
                            "names {} ranks",
                            ranks),
                "start it without a launcher");
  start_with_waiting_workers();
  const std::filesystem::path folder(output);
  make_folder(folder);
  const uint64_t seed = context.flags.seed;
  const auto images =
      data::make_procedural_images(kTrainImages, seed, context.jobs());
  distill::TeacherOptions teacher;
  teacher.seed = seed;
  teacher.jobs = context.jobs();
  const ir::Model model =
      distill::train_demo_teacher(*images, data::kProceduralClasses, teacher,
                                  context.terminal, &context.cancel);
  io::export_onnx(model, folder / "teacher.onnx");

  recipes::Recipe recipe = recipe_from_preset(
      "int8-latency", (folder / "teacher.onnx").string(), "synthetic");
  recipe.data.spec.clear();
  recipe.data.descriptor = descriptor(kTrainImages, seed);
  recipe.samples = kCalibrationImages;
  recipe.eval.descriptor = descriptor(kEvalImages, seed + 1);
  recipe.latency_targets.push_back(recipes::parse_target("0.6x", "demo"));
  recipe.max_drop = 0.01;
  apply_shared_flags(context.flags, recipe);
  recipe.seed = seed;
  return run_recipe(recipe, {.folder = folder, .file = {}}, context);
}

}  // namespace

Action setup_demo(CLI::App& app) {
  auto output = std::make_shared<std::string>("lathe-demo");
  add_text(app, "-o,--output", "DIR", *output,
           "folder for the teacher, variants, manifest and report")
      ->group("Output");
  app.footer(
      "  lathe demo\n"
      "  lathe demo -o lathe-demo --threads 2");
  return [output](Context& context) { return demo(*output, context); };
}

}  // namespace lathe::cli
