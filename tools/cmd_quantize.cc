#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/io/import.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/recipe_run.h"

namespace lathe::cli {
namespace {

constexpr char kPreset[] = "int8-latency";
constexpr char kPass[] = "quantize_static";

struct Options {
  std::string model, data, output, activation_type;
  std::vector<std::string> exclude_nodes, exclude_operators;
  bool per_tensor = false, print = false;
};

std::string pass_options(const Options& options) {
  Json json = Json::object();
  if (!options.activation_type.empty())
    json["activation_type"] = options.activation_type;
  if (options.per_tensor) json["per_channel"] = false;
  if (!options.exclude_nodes.empty())
    json["exclude_nodes"] = options.exclude_nodes;
  if (!options.exclude_operators.empty())
    json["exclude_operators"] = options.exclude_operators;
  return json.dump();
}

int quantize(const Options& options, Context& context) {
  recipes::Recipe recipe =
      recipe_from_preset(kPreset, options.model, options.data);
  for (recipes::StageSpec& stage : recipe.stages)
    if (stage.pass == kPass) stage.options = pass_options(options);
  apply_shared_flags(context.flags, recipe);
  if (options.print) return print_recipe(recipe);
  if (options.output.empty())
    throw Error(ErrorKind::kUsage, "lathe quantize", "--output is required",
                "see 'lathe help quantize'");
  return run_recipe(recipe, {.folder = {}, .file = options.output}, context);
}

}  // namespace

Action setup_quantize(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "MODEL", "MODEL", options->model, io::kModelFiles)
      ->required()
      ->group("Input");
  add_text(app, "--data", "D", options->data,
           "samples to calibrate on: a data descriptor (.json), an .npz file, "
           "an ONNX test-case folder, or 'synthetic'")
      ->required()
      ->group("Input");
  add_choice(app, "--activation-type", {"uint8", "int8"},
             options->activation_type,
             "integer type of activations (default: uint8 on x86, int8 on "
             "Arm)")
      ->group("Quantization");
  add_switch(app, "--per-tensor", options->per_tensor,
             "one weight scale a tensor instead of one an output channel")
      ->group("Quantization");
  add_texts(app, "--exclude-node", "NAME", options->exclude_nodes,
            "leave this node in float; can be given again")
      ->group("Quantization");
  add_texts(app, "--exclude-op", "TYPE", options->exclude_operators,
            "leave nodes of this operator in float; can be given again")
      ->group("Quantization");
  add_text(app, "-o,--output", "OUT.onnx", options->output,
           "the ONNX file to write")
      ->group("Output");
  add_switch(app, "--print-recipe", options->print,
             "print the recipe and run nothing")
      ->group("Output");
  app.footer(
      "  lathe quantize model.onnx --data train.json -o model-int8.onnx\n"
      "  lathe quantize model.onnx --data train.json --samples 256 "
      "--exclude-op Gemm -o model-int8.onnx");
  return [options](Context& context) { return quantize(*options, context); };
}

}  // namespace lathe::cli
