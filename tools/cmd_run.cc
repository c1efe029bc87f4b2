#include <CLI/CLI.hpp>
#include <memory>

#include "passes/base/error.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/recipe_run.h"

namespace lathe::cli {
namespace {

struct Options {
  std::string recipe, output;
  std::vector<std::string> overrides;
  bool print = false;
};

int run(const Options& options, Context& context) {
  std::vector<recipes::Override> overrides;
  for (const std::string& text : options.overrides)
    overrides.push_back(recipes::parse_override(text));
  recipes::Recipe recipe = recipes::load(options.recipe, overrides);
  apply_shared_flags(context.flags, recipe);
  if (options.print) return print_recipe(recipe);
  if (options.output.empty())
    throw Error(ErrorKind::kUsage, "lathe run", "--output is required",
                "see 'lathe help run'");
  return run_recipe(recipe, {.folder = options.output, .file = {}}, context);
}

}  // namespace

Action setup_run(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "RECIPE", "RECIPE", options->recipe,
           "a recipe file, or the name of a preset; shared flags that are "
           "given win over it")
      ->required()
      ->group("Input");
  add_texts(app, "--set", "/POINTER=VALUE", options->overrides,
            "set a value of the recipe (JSON Pointer; JSON or a word); can be "
            "given again")
      ->group("Input");
  add_text(app, "-o,--output", "DIR", options->output,
           "folder for variants, manifest and report")
      ->group("Output");
  add_switch(app, "--print-recipe", options->print,
             "print the recipe in effect and run nothing")
      ->group("Output");
  app.footer(
      "  lathe run recipe.json -o out\n"
      "  lathe run int8-latency --set /model=model.onnx --set "
      "/data=train.json --set /targets/latency/0=0.6x -o out");
  return [options](Context& context) { return run(*options, context); };
}

}  // namespace lathe::cli
