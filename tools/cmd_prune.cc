#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <regex>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/import.h"
#include "passes/prune/prune.h"
#include "passes/prune/saliency.h"
#include "recipes/targets.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/recipe_run.h"

namespace lathe::cli {
namespace {

struct Options {
  std::string model, data, eval, device, output;
  std::string latency, max_drop, saliency, plan, plan_out, max_ratio;
  std::string sparsity, pattern;
  std::vector<std::string> keep;
  int64_t iterations = 1, min_units = 1;
  bool no_blocks = false, no_repair = false, mask = false, rescaling = false;
  bool print = false;
};

// What removes channels, and means nothing to weights made sparse.
constexpr const char* kStructuredFlags[] = {
    "--target-latency", "--plan",      "--plan-out",  "--iterations",
    "--saliency",       "--max-ratio", "--min-units", "--no-blocks",
    "--no-repair",      "--mask",      "--rescaling"};

[[noreturn]] void throw_usage(const std::string& where, const std::string& what,
                              const std::string& hint = "") {
  throw Error(ErrorKind::kUsage, where, what,
              hint.empty() ? "see 'lathe help prune'" : hint);
}

// Which of the two the command is asked for.
bool sparsifies(const Options& options, const SharedFlags& flags) {
  const char* flag = !options.sparsity.empty()  ? "--sparsity"
                     : !options.pattern.empty() ? "--nm"
                                                : nullptr;
  if (!flag) return false;
  if (!options.sparsity.empty() && !options.pattern.empty())
    throw_usage("--nm", "found beside --sparsity", "give one of the two");
  for (const char* other : kStructuredFlags)
    if (flags.given.contains(other))
      throw_usage(flag,
                  fmt::format("found beside {}, which is about removing "
                              "channels; {} sets weights to zero",
                              other, flag),
                  "prune first and make the result sparse");
  return true;
}

// Mistakes in the file itself cost no run.
void check_plan(const std::string& path) {
  prune::plan_needs_saliency(read_file(path), path);
}

void check_pattern(const std::string& text) {
  static const std::regex kPattern("([1-9][0-9]{0,3}):([1-9][0-9]{0,3})");
  std::smatch match;
  if (!std::regex_match(text, match, kPattern) ||
      std::stoi(match[1]) >= std::stoi(match[2]))
    throw_usage("--nm", fmt::format("found '{}', expected N:M like 2:4 with N "
                                    "below M",
                                    text));
}

Json channel_options(const Options& options) {
  Json json = Json::object();
  if (!options.plan.empty()) {
    check_plan(options.plan);
    json["plan"] = options.plan;
  } else {
    json["latency_limit"] = options.latency;
    if (!options.device.empty()) json["confidence"] = kNamedDeviceConfidence;
  }
  if (options.iterations != 1) json["iterations"] = options.iterations;
  if (!options.saliency.empty()) json["saliency"] = options.saliency;
  if (!options.max_ratio.empty())
    json["max_ratio"] = parse_share("--max-ratio", options.max_ratio);
  if (options.min_units != 1) json["min_units"] = options.min_units;
  if (!options.keep.empty()) json["keep"] = options.keep;
  if (options.rescaling) json["rescaling"] = true;
  // Zeros cannot stand for a block.
  if (options.no_blocks || options.mask) json["blocks"] = false;
  if (options.no_repair) json["repair"] = false;
  if (options.mask) json["mask"] = true;
  return json;
}

Json sparsity_options(const Options& options) {
  Json json = Json::object();
  if (!options.pattern.empty()) {
    check_pattern(options.pattern);
    json["pattern"] = options.pattern;
  }
  if (!options.sparsity.empty())
    json["sparsity"] = parse_share("--sparsity", options.sparsity);
  if (!options.keep.empty()) json["keep"] = options.keep;
  return json;
}

int prune_model(const Options& options, Context& context) {
  const bool sparse = sparsifies(options, context.flags);
  if (!sparse && options.latency.empty() && options.plan.empty())
    throw_usage("lathe prune",
                "--target-latency, --plan, --sparsity or --nm is required");
  if (!options.latency.empty())
    recipes::parse_target(options.latency, "--target-latency");
  const Json pass_options =
      sparse ? sparsity_options(options) : channel_options(options);
  recipes::Recipe recipe = recipe_from_preset(
      sparse ? "sparse-weights" : "prune", options.model, options.data);
  recipe.stages.back().options = pass_options.dump();
  // Zeros take as long as what stood there.
  return run_file_job(std::move(recipe),
                      {.command = "lathe prune",
                       .eval = options.eval,
                       .device = options.device,
                       .latency = options.mask ? "" : options.latency,
                       .max_drop = options.max_drop,
                       .output = options.output,
                       .plan = options.plan_out,
                       .print = options.print},
                      context);
}

void add_input_flags(CLI::App& app, Options& options) {
  add_text(app, "MODEL", "MODEL", options.model, io::kModelFiles)
      ->required()
      ->group("Input");
  add_text(app, "--data", "D", options.data,
           "samples that saliency and repair look at: a data descriptor "
           "(.json), an .npz file, an ONNX test-case folder, or 'synthetic'; "
           "without them, weights alone decide and nothing is repaired")
      ->group("Input");
  add_text(app, "--eval", "E", options.eval,
           "samples to score on, as --data (default: a part of labelled "
           "--data)")
      ->group("Input");
}

void add_target_flags(CLI::App& app, Options& options) {
  add_text(app, "--target-latency", "T", options.latency,
           "remove what contributes least until the estimate is within this: "
           "3ms, 800us, 200fps, or 0.5x of MODEL; the result is measured "
           "against it")
      ->group("Target");
  add_text(app, "--max-drop", "X%", options.max_drop,
           "exit with 3 where more accuracy is lost, in percentage points of "
           "top-1 (of agreement without labels)")
      ->group("Target");
  add_text(app, "--device", "P", options.device,
           "device profile that prices widths, whose 95th percentile is then "
           "brought within the target (default: this machine, by the median); "
           "'lathe list devices' names them")
      ->group("Target");
}

void add_channel_flags(CLI::App& app, Options& options) {
  constexpr const char* kGroup = "Channels";
  add_text(app, "--plan", "P.json", options.plan,
           "remove what this plan says instead of solving; --plan-out writes "
           "one, 'lathe inspect --groups' shows the names")
      ->group(kGroup);
  add_count(app, "--iterations", "N", 1, 1000, options.iterations,
            "steps to the target; saliency is measured anew before each")
      ->group(kGroup);
  add_choice(app, "--saliency", prune::saliency_names(), options.saliency,
             fmt::format("how what a channel contributes is measured (default: "
                         "{} with --data, else l2)",
                         prune::kDefaultSaliency))
      ->group(kGroup);
  add_texts(app, "--keep", "NAME", options.keep,
            "a group or node that stays whole, with * for any run of "
            "characters; can be given again")
      ->group(kGroup);
  add_text(app, "--max-ratio", "R", options.max_ratio,
           "the most of a group's units that may go")
      ->default_str("0.95")
      ->group(kGroup);
  add_count(app, "--min-units", "N", 1, 1 << 20, options.min_units,
            "units that every group keeps")
      ->group(kGroup);
  add_switch(app, "--rescaling", options.rescaling,
             "units that a normalization is taken over may go as well")
      ->group(kGroup);
  add_switch(app, "--no-blocks", options.no_blocks,
             "no residual branch goes as a whole")
      ->group(kGroup);
  add_switch(app, "--no-repair", options.no_repair,
             "what is left stays as it is")
      ->group(kGroup);
  add_switch(app, "--mask", options.mask,
             "zeros in the place of what would go; nothing gets smaller")
      ->group(kGroup);
}

void add_sparsity_flags(CLI::App& app, Options& options) {
  add_text(app, "--sparsity", "S", options.sparsity,
           "instead of channels: the share of each weight's elements that "
           "become zero")
      ->group("Sparse weights");
  add_text(app, "--nm", "N:M", options.pattern,
           "instead of channels: at most N of every M weights along what is "
           "summed over stay, as 2:4")
      ->group("Sparse weights");
}

}  // namespace

Action setup_prune(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_input_flags(app, *options);
  add_target_flags(app, *options);
  add_channel_flags(app, *options);
  add_sparsity_flags(app, *options);
  add_text(app, "-o,--output", "OUT.onnx", options->output,
           "the ONNX file to write")
      ->group("Output");
  add_text(app, "--plan-out", "P.json", options->plan_out,
           "write what was removed as a plan, to be edited and fed back")
      ->group("Output");
  add_switch(app, "--print-recipe", options->print,
             "print the recipe and run nothing")
      ->group("Output");
  app.footer(
      "  lathe prune model.onnx --data train.json --target-latency 0.5x -o "
      "small.onnx\n"
      "  lathe prune model.onnx --data train.json --target-latency 3ms "
      "--iterations 4 --keep 'head*' --plan-out plan.json -o small.onnx\n"
      "  lathe prune model.onnx --data train.json --plan plan.json -o "
      "small.onnx\n"
      "  lathe prune model.onnx --nm 2:4 -o sparse.onnx");
  return [options](Context& context) { return prune_model(*options, context); };
}

}  // namespace lathe::cli
