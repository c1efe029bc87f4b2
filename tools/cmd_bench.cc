#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "calibration/latency/bench.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/text.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

struct Options {
  std::vector<std::string> models;
  int64_t runs = 0;
};

struct Subject {
  std::unique_ptr<latency::Session> session;
  NamedTensors inputs;
};

// A named shape that no model has an input for is a typing error.
void check_shape_names(const ir::InputShapes& shapes,
                       const std::vector<ir::Model>& models) {
  for (const auto& [name, dims] : shapes) {
    std::vector<std::string> inputs;
    bool known = name.empty();
    for (const ir::Model& model : models)
      for (const ir::Value* value : model.graph->inputs()) {
        inputs.push_back(value->name());
        known = known || value->name() == name;
      }
    if (!known)
      throw Error(
          ErrorKind::kUsage, "--input-shape",
          "no model has an input '" + name + "'" + did_you_mean(name, inputs));
  }
}

std::vector<MeasuredLatency> measure(const Options& options, Context& context) {
  std::vector<ir::Model> models;
  for (const std::string& path : options.models)
    models.push_back(load_model(path, context));
  check_shape_names(context.flags.input_shapes, models);
  std::vector<Subject> subjects;
  latency::SessionOptions session_options;
  session_options.threads = context.threads();
  for (size_t i = 0; i < models.size(); ++i) {
    context.cancel.check();
    Subject subject;
    const ir::InputShapes shapes = ir::default_input_shapes(
        models[i], shapes_for(models[i], context.flags.input_shapes));
    subject.inputs =
        latency::random_inputs(models[i], shapes, context.flags.seed);
    // A file that the runtime reads itself is measured as it is.
    subject.session =
        is_onnx(options.models[i])
            ? latency::Session::open(options.models[i], session_options)
            : latency::Session::open(models[i], session_options,
                                     options.models[i]);
    subjects.push_back(std::move(subject));
  }
  std::vector<latency::BenchSubject> benched;
  for (size_t i = 0; i < models.size(); ++i)
    benched.push_back({options.models[i], subjects[i].session.get(),
                       std::move(subjects[i].inputs)});
  latency::BenchOptions bench_options;
  bench_options.threads = context.threads();
  bench_options.runs = options.runs;
  bench_options.seed = context.flags.seed;
  return latency::bench(benched, bench_options, context.terminal,
                        &context.cancel);
}

void print(const Options& options, const Context& context,
           const std::vector<MeasuredLatency>& results) {
  if (context.flags.json) {
    Json json = {
        {"schema_version", kSchemaVersion},
        {"runtime",
         {{"name", "ONNX Runtime"}, {"version", latency::runtime_version()}}},
        {"threads", context.threads()},
        {"models", Json::array()}};
    for (size_t i = 0; i < results.size(); ++i)
      json["models"].push_back({{"path", options.models[i]},
                                {"runs", results[i].runs},
                                {"latency_us",
                                 {{"min", results[i].min_us},
                                  {"p10", results[i].p10_us},
                                  {"median", results[i].median_us},
                                  {"p90", results[i].p90_us}}},
                                {"noisy", results[i].noisy}});
    print_json(json);
    return;
  }
  Table table({"model", "median", "p10", "p90", "min", "runs", "ratio"});
  for (size_t i = 0; i < results.size(); ++i) {
    const MeasuredLatency& result = results[i];
    table.add({options.models[i], format_latency_us(result.median_us),
               format_latency_us(result.p10_us),
               format_latency_us(result.p90_us),
               format_latency_us(result.min_us), std::to_string(result.runs),
               fmt::format("{:.2f}x{}", result.median_us / results[0].median_us,
                           result.noisy ? " noisy" : "")});
  }
  print_result(table.text() +
               fmt::format("\nONNX Runtime {}, {} thread{}; ratio: median to "
                           "the first model's\n",
                           latency::runtime_version(), context.threads(),
                           context.threads() == 1 ? "" : "s"));
}

int bench(const Options& options, Context& context) {
  const std::vector<MeasuredLatency> results = measure(options, context);
  context.terminal.end();
  print(options, context, results);
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].noisy)
      context.terminal.warn(fmt::format(
          "{}: the measurement is noisy (p10 {}, median {}, p90 {}), other "
          "work may have had the cores; close other programs, or raise --runs",
          options.models[i], format_latency_us(results[i].p10_us),
          format_latency_us(results[i].median_us),
          format_latency_us(results[i].p90_us)));
  return 0;
}

}  // namespace

Action setup_bench(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_texts(app, "MODEL", "MODEL...", options->models,
            "model files, ONNX or PyTorch; ratios are to the first")
      ->required()
      ->group("Input");
  auto* runs = add_count(app, "--runs", "N", 1, 10'000'000, options->runs,
                         "timed runs of each model");
  runs->default_str("as many as fit a second, 30 to 1000")
      ->group("Measurement");
  app.footer(
      "  lathe bench model.onnx\n"
      "  lathe bench model.onnx model-int8.onnx --threads 2 --runs 200");
  return [options](Context& context) { return bench(*options, context); };
}

}  // namespace lathe::cli
