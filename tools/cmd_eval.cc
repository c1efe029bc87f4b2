#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "calibration/accuracy/accuracy.h"
#include "calibration/data/data.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"
#include "tools/rank_job.h"

namespace lathe::cli {
namespace {

struct Options {
  std::string model, data, against;
};

// An output equal to the reference's has no finite ratio of signal to noise.
void set_finite(Json& json, const char* key, double value) {
  if (std::isfinite(value)) json[key] = value;
}

Json to_json(const Options& options, const Accuracy& accuracy) {
  Json json = {{"schema_version", kSchemaVersion},
               {"path", options.model},
               {"samples", accuracy.samples}};
  if (accuracy.top1) json["top1"] = *accuracy.top1;
  if (accuracy.top5) json["top5"] = *accuracy.top5;
  if (accuracy.perplexity) set_finite(json, "perplexity", *accuracy.perplexity);
  if (accuracy.agreement) json["agreement"] = *accuracy.agreement;
  if (options.against.empty()) return json;
  json["outputs"] = Json::array();
  for (const OutputFidelity& output : accuracy.outputs) {
    Json one = {{"name", output.name}};
    set_finite(one, "sqnr_db", output.sqnr_db);
    set_finite(one, "cosine", output.cosine);
    set_finite(one, "max_abs_diff", output.max_abs_diff);
    json["outputs"].push_back(std::move(one));
  }
  return json;
}

std::string to_text(const Options& options, const Accuracy& accuracy) {
  std::string text =
      fmt::format("{}: {} samples\n", options.model, accuracy.samples);
  const auto line = [&](const char* name, std::optional<double> fraction) {
    if (fraction)
      text += fmt::format("{:<10} {:.2f}%\n", name, 100 * *fraction);
  };
  line("top-1", accuracy.top1);
  line("top-5", accuracy.top5);
  if (accuracy.perplexity)
    text += fmt::format("{:<10} {}\n", "perplexity",
                        format_perplexity(*accuracy.perplexity));
  line("agreement", accuracy.agreement);
  if (accuracy.outputs.empty()) return text;
  Table table({"output", "SQNR", "cosine", "max |difference|"});
  for (const OutputFidelity& output : accuracy.outputs)
    table.add({output.name,
               std::isfinite(output.sqnr_db)
                   ? fmt::format("{:.2f} dB", output.sqnr_db)
                   : "equal",
               fmt::format("{:.6f}", output.cosine),
               fmt::format("{:.6g}", output.max_abs_diff)});
  return text + "\n" + table.text();
}

int evaluate(const Options& options, Context& context) {
  const std::unique_ptr<Ranks> ranks = join_ranks();
  const ir::Model model = load_model(options.model, context);
  std::optional<ir::Model> reference;
  if (!options.against.empty())
    reference = load_model(options.against, context);
  const auto source = open_samples(
      options.data, reference ? *reference : model,
      "the data is synthetic: the figures say nothing about real accuracy",
      context);
  accuracy::EvaluateOptions evaluate_options;
  evaluate_options.ranks = ranks.get();
  evaluate_options.samples = context.flags.samples;
  evaluate_options.jobs = context.jobs();
  const Accuracy accuracy = accuracy::evaluate(
      model, reference ? &*reference : nullptr, *source, evaluate_options,
      is_first(ranks.get()) ? context.terminal : silent_progress(),
      &context.cancel);
  context.terminal.end();
  if (!is_first(ranks.get())) return 0;
  if (!accuracy.top1 && !accuracy.perplexity && !reference)
    context.terminal.warn(
        source->has_labels()
            ? "the model has no class scores as its first output: there is no "
              "accuracy to measure; give --against a reference model"
            : "the data has no labels: there is no accuracy to measure; give "
              "--against a reference model");
  if (context.flags.json) {
    print_json(to_json(options, accuracy));
  } else {
    print_result(to_text(options, accuracy));
  }
  return 0;
}

}  // namespace

Action setup_eval(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "MODEL", "MODEL", options->model, io::kModelFiles)
      ->required()
      ->group("Input");
  add_text(app, "--data", "D", options->data,
           "a data descriptor (.json), an .npz file, an ONNX test-case folder, "
           "or 'synthetic'")
      ->required()
      ->group("Input");
  add_text(app, "--against", "REF", options->against,
           "a reference model: adds agreement, SQNR and cosine; the samples "
           "are read for its inputs, and MODEL's may be float16 where they are "
           "float")
      ->group("Input");
  app.footer(
      "  lathe eval model.onnx --data test.json\n"
      "  lathe eval model-int8.onnx --data test.json --against model.onnx "
      "--samples 1000");
  return [options](Context& context) { return evaluate(*options, context); };
}

}  // namespace lathe::cli
