#include "tools/recipe_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "passes/prune/prune.h"
#include "recipes/pass_table.h"
#include "tools/model_file.h"
#include "tools/output.h"
#include "tools/rank_job.h"
#include "tools/report_text.h"
#include "tools/training_html.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

// Names the stage in progress; with -v, what each did and left alone, as it
// happens.
class StageLog final : public recipes::Observer {
 public:
  explicit StageLog(Terminal& terminal) : terminal_(terminal) {}

  void stage_started(const std::string& name) override {
    terminal_.set_stage(name);
  }

  void stage_done(const recipes::StageReport& stage) override {
    terminal_.detail(fmt::format("{}: {} change{} in {:.1f} s", stage.name,
                                 stage.changes, stage.changes == 1 ? "" : "s",
                                 stage.seconds));
    terminal_.set_stage("");
    for (const Remark& remark : stage.remarks)
      terminal_.detail("  " + (remark.node.empty() ? "" : remark.node + ": ") +
                       remark.reason);
  }

 private:
  Terminal& terminal_;
};

void write_plan(const recipes::Report& report,
                const std::filesystem::path& path) {
  const auto made =
      std::find_if(report.stages.rbegin(), report.stages.rend(),
                   [](const auto& stage) { return !stage.plan.empty(); });
  if (made != report.stages.rend())
    write_file_atomic(path, prune::format_plan(made->plan));
}

// Before any work is done: passes that need LibTorch say so when they are made.
// What else is wrong is said in its place.
void make_passes(const recipes::Recipe& recipe) {
  for (const recipes::StageSpec& stage : recipe.stages) try {
      if (const recipes::PassRow* row = recipes::find_pass(stage.pass))
        row->make(Json::parse(stage.options));
    } catch (const Error&) {
    }
}

}  // namespace

recipes::Recipe recipe_from_preset(const std::string& preset,
                                   const std::string& model,
                                   const std::string& data) {
  Json changes = {{"model", model}};
  if (!data.empty()) changes["data"] = data;
  return recipes::parse(
      JsonText::wrap(recipes::from_preset(preset, changes), "preset " + preset),
      /*folder=*/"");
}

void apply_shared_flags(const SharedFlags& flags, recipes::Recipe& recipe) {
  if (flags.given.contains("--seed")) recipe.seed = flags.seed;
  if (flags.given.contains("--samples")) recipe.samples = flags.samples;
  if (flags.given.contains("--threads"))
    recipe.device.threads = static_cast<int>(flags.threads);
  for (const auto& [name, dims] : flags.input_shapes)
    recipe.input_shapes[name] = dims;
}

int run_recipe(const recipes::Recipe& recipe, const Destination& destination,
               Context& context) {
  io::format_of(recipe.resolve(recipe.model));  // it must exist
  if (!destination.file.empty()) require_folder_of(destination.file);
  for (const fs::path& file : {destination.plan, destination.html})
    if (!file.empty()) require_folder_of(file);
  make_passes(recipe);
  const std::unique_ptr<Ranks> ranks = join_ranks();
  StageLog log(context.terminal);
  recipes::RunOptions options;
  options.out_dir = destination.folder;
  options.out_file = destination.file;
  options.score = destination.file.empty() || destination.score;
  options.jobs = context.jobs();
  if (is_first(ranks.get())) {
    options.progress = &context.terminal;
    options.observer = &log;
  }
  options.cancel = &context.cancel;
  options.ranks = ranks.get();
  const recipes::RunOutcome outcome = recipes::run(recipe, options);
  context.terminal.end();
  if (!is_first(ranks.get())) return outcome.exit_code;
  if (!destination.plan.empty()) write_plan(outcome.report, destination.plan);
  if (!destination.html.empty())
    write_file_atomic(destination.html, training_html(outcome.report));
  if (context.flags.json) {
    print_json(recipes::to_json(outcome.report));
  } else if (destination.file.empty()) {
    print_result(report_text(outcome.report, destination.folder));
  } else {
    print_result(file_text(outcome.report, destination.file));
  }
  return outcome.exit_code;
}

int run_file_job(recipes::Recipe recipe, const FileJob& job, Context& context) {
  recipe.eval.spec = job.eval;
  recipe.device.profile = job.device;
  if (!job.latency.empty())
    recipe.latency_targets.push_back(
        recipes::parse_target(job.latency, "--target-latency"));
  if (!job.max_drop.empty())
    recipe.max_drop = recipes::parse_drop(job.max_drop, "--max-drop");
  apply_shared_flags(context.flags, recipe);
  if (job.print) return print_recipe(recipe);
  if (job.output.empty())
    throw Error(ErrorKind::kUsage, job.command, "--output is required",
                "see '" + job.command.substr(0, 6) + "help " +
                    job.command.substr(6) + "'");
  const bool score = job.score || !recipe.latency_targets.empty() ||
                     recipe.max_drop || !job.eval.empty();
  return run_recipe(recipe,
                    {.folder = {},
                     .file = job.output,
                     .plan = job.plan,
                     .html = job.html,
                     .score = score},
                    context);
}

int print_recipe(const recipes::Recipe& recipe) {
  print_result(recipes::to_text(recipe, /*absolute=*/true));
  return 0;
}

}  // namespace lathe::cli
