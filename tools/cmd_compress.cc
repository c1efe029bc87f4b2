#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/import.h"
#include "recipes/targets.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/recipe_run.h"

namespace lathe::cli {
namespace {

struct Options {
  std::vector<std::string> arguments;  // the model, and targets after a target
  std::string data, eval, max_drop, device, output, distill, qat;
  std::string preset = "int8-latency";
  std::vector<std::string> targets;
  int64_t eval_samples = 0;
  bool prune = false, print = false;
};

// What --prune foretells the latency of.
constexpr const char* kPrunedPreset = "int8-latency";

[[noreturn]] void throw_usage(const std::string& what) {
  throw Error(ErrorKind::kUsage, "lathe compress", what,
              "see 'lathe help compress'");
}

// "--target-latency 2ms 4ms" leaves 4ms among the arguments.
std::string take_model(Options& options) {
  std::vector<std::string> models;
  for (const std::string& argument : options.arguments) {
    std::string problem;
    if (!options.targets.empty() &&
        recipes::try_parse_target(argument, &problem)) {
      options.targets.push_back(argument);
    } else {
      models.push_back(argument);
    }
  }
  if (models.size() != 1)
    throw_usage("expected one model, found " +
                (models.empty() ? "none" : join(models, ", ")));
  return models.front();
}

// Quantization leaves as many layers in float as the budget asks for.
void keep_drop(recipes::Recipe& recipe) {
  for (recipes::StageSpec& stage : recipe.stages) {
    if (stage.pass != "quantize_static") continue;
    Json stage_options = Json::parse(stage.options);
    stage_options["max_drop"] = *recipe.max_drop;
    stage.options = stage_options.dump();
  }
}

// One chain of stages is pruned once: for the tightest target.
const recipes::Target& tightest(const std::vector<recipes::Target>& targets) {
  const auto relative = [](const recipes::Target& target) {
    return target.unit == recipes::Target::Unit::kRelative;
  };
  const recipes::Target* least = &targets.front();
  for (const recipes::Target& target : targets) {
    if (relative(target) != relative(*least))
      throw Error(ErrorKind::kUsage, "--prune",
                  "found the targets " + least->text + " and " + target.text +
                      "; the tightest decides what is pruned, and which of "
                      "the two that is depends on the model",
                  "give targets that are all relative or none");
    if (target.limit_us(1) < least->limit_us(1)) least = &target;
  }
  return *least;
}

// prune_channels behind simplify, priced as the stages after it quantize.
void add_prune_stage(const Options& options, recipes::Recipe& recipe) {
  if (options.preset != kPrunedPreset)
    throw Error(ErrorKind::kUsage, "--prune",
                "found beside --preset " + options.preset + ", expected " +
                    kPrunedPreset +
                    ": what is pruned is priced as that quantizes it",
                "put a stage prune_channels into a recipe (--print-recipe)");
  Json pass_options = {{"latency_limit", tightest(recipe.latency_targets).text},
                       {"price", "int8"}};
  if (!options.device.empty())
    pass_options["confidence"] = kNamedDeviceConfidence;
  const auto behind =
      std::ranges::find(recipe.stages, "simplify", &recipes::StageSpec::pass);
  recipe.stages.insert(std::next(behind),
                       {"prune_channels", pass_options.dump()});
}

// Training for `budget` behind the last of `passes` that the recipe has.
void add_distill_stage(const std::string& flag, const std::string& budget,
                       const std::vector<std::string>& passes,
                       recipes::Recipe& recipe) {
  const Json options = {{"time_budget_s", parse_seconds(flag, budget)}};
  const auto behind = std::find_if(
      recipe.stages.rbegin(), recipe.stages.rend(), [&](const auto& stage) {
        return std::ranges::find(passes, stage.pass) != passes.end();
      });
  if (behind == recipe.stages.rend())
    throw Error(
        ErrorKind::kUsage, flag,
        "the recipe has no stage " + join(passes, " or ") + " to train behind",
        "put a stage distill into a recipe (--print-recipe)");
  recipe.stages.insert(behind.base(), {"distill", options.dump()});
}

int compress(Options options, Context& context) {
  const std::string model = take_model(options);
  recipes::Recipe recipe =
      recipe_from_preset(options.preset, model, options.data);
  recipe.eval.spec = options.eval;
  recipe.eval_samples = options.eval_samples;
  recipe.device.profile = options.device;
  for (const std::string& target : options.targets)
    recipe.latency_targets.push_back(
        recipes::parse_target(target, "--target-latency"));
  if (options.prune) add_prune_stage(options, recipe);
  if (!options.distill.empty())
    add_distill_stage("--distill", options.distill,
                      {"simplify", "prune_channels"}, recipe);
  if (!options.qat.empty())
    add_distill_stage("--qat", options.qat, {"quantize_static"}, recipe);
  if (!options.max_drop.empty()) {
    recipe.max_drop = recipes::parse_drop(options.max_drop, "--max-drop");
    keep_drop(recipe);
  }
  apply_shared_flags(context.flags, recipe);
  if (options.print) return print_recipe(recipe);
  if (options.output.empty()) throw_usage("--output is required");
  return run_recipe(recipe, {.folder = options.output, .file = {}}, context);
}

}  // namespace

Action setup_compress(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_texts(app, "MODEL", "MODEL", options->arguments, io::kModelFiles)
      ->required()
      ->expected(1, 1 << 20)
      ->group("Input");
  add_text(app, "--data", "D", options->data,
           "samples to calibrate on: a data descriptor (.json), an .npz file, "
           "an ONNX test-case folder, or 'synthetic'")
      ->required()
      ->group("Input");
  add_text(app, "--eval", "E", options->eval,
           "samples to score on, as --data (default: a part of labelled "
           "--data)")
      ->group("Input");
  auto* eval_samples =
      add_count(app, "--eval-samples", "N", 0, INT64_MAX, options->eval_samples,
                "samples of --eval to read");
  eval_samples->default_str("all")->group("Input");
  add_texts(app, "--target-latency", "T...", options->targets,
            "5ms, 800us, 200fps, or 0.5x of the input model; a variant for "
            "each, given again or side by side")
      ->required()
      ->group("Target");
  add_text(app, "--max-drop", "X%", options->max_drop,
           "most accuracy to lose, in percentage points of top-1 (of agreement "
           "without labels)")
      ->group("Target");
  add_text(app, "--device", "P", options->device,
           "device profile that prices estimates (default: this machine); "
           "'lathe list devices' names them")
      ->group("Target");
  add_switch(app, "--prune", options->prune,
             "remove channels, heads and blocks where int8 alone misses the "
             "target, until the estimate of the int8 model is within it (of "
             "several targets, the tightest)")
      ->group("Target");
  add_text(app, "--distill", "T", options->distill,
           "train what was pruned for so long (900s, 20min) with the input "
           "model as its teacher, before it is quantized")
      ->group("Target");
  add_text(app, "--qat", "T", options->qat,
           "train the int8 model for so long, through fake quantization")
      ->group("Target");
  add_text(app, "--preset", "NAME", options->preset,
           "the stages to run; 'lathe list recipes' names the presets")
      ->group("Target");
  add_text(app, "-o,--output", "DIR", options->output,
           "folder for variants, manifest and report")
      ->group("Output");
  add_switch(app, "--print-recipe", options->print,
             "print the recipe and run nothing")
      ->group("Output");
  app.footer(
      "  lathe compress model.onnx --data train.json --target-latency 2ms -o "
      "out\n"
      "  lathe compress model.onnx --data train.json --eval test.json "
      "--target-latency 0.6x --max-drop 1% --samples 512 -o out\n"
      "  lathe compress model.onnx --data train.json --eval test.json "
      "--target-latency 0.25x --prune --distill 20min --max-drop 2% -o out");
  return [options](Context& context) { return compress(*options, context); };
}

}  // namespace lathe::cli
