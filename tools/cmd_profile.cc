#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "calibration/latency/estimator/devices.h"
#include "calibration/latency/estimator/profiler.h"
#include "calibration/latency/estimator/validation.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string output, from, device, name;
  std::string budget;
  bool resume = false;
  std::vector<std::string> validate;
};

// Of a thread count, where no budget is given.
constexpr double kDefaultSeconds = 180;

std::string percent(double fraction) {
  return fmt::format("{:.1f}%", 100 * fraction);
}

Json error_json(const latency::ValidationError& error) {
  return {{"networks", error.networks},
          {"mape", error.mape},
          {"rmspe", error.rmspe},
          {"within_5", error.within_5},
          {"within_10", error.within_10}};
}

fs::path output_path(const Options& options) {
  if (!options.output.empty()) return options.output;
  const fs::path stored = latency::stored_device_file();
  if (stored.empty())
    throw Error(ErrorKind::kUsage, "lathe profile",
                "there is no user data folder to store the profile in: neither "
                "XDG_DATA_HOME nor HOME is set",
                "name a file with -o");
  fs::create_directories(stored.parent_path());
  return stored;
}

fs::path partial_path(const fs::path& output) {
  return output.string() + ".partial";
}

latency::Measurements read_measurements(const fs::path& path) {
  return latency::measurements_from_json(JsonText::read(path));
}

latency::Measurements start_from(const Options& options,
                                 const fs::path& partial, Context& context) {
  const bool exists = fs::exists(partial);
  if (exists && !options.resume)
    throw Error(ErrorKind::kUsage, "lathe profile",
                "an interrupted profiling left " + partial.string(),
                "--resume goes on with it; remove the file to start anew");
  if (exists) return read_measurements(partial);
  if (options.resume)
    context.terminal.info("nothing to resume: " + partial.string() +
                          " does not exist; starting anew");
  return {};
}

latency::Measurements measure(const Options& options, const fs::path& output,
                              Context& context) {
  const fs::path partial = partial_path(output);
  latency::ProfileOptions profile;
  profile.threads.assign(context.flags.thread_counts.begin(),
                         context.flags.thread_counts.end());
  profile.seed = context.flags.seed;
  profile.budget_s =
      options.budget.empty()
          ? kDefaultSeconds * static_cast<double>(profile.threads.size())
          : parse_seconds("--budget", options.budget);
  latency::Measurements before = start_from(options, partial, context);
  try {
    return latency::measure_device(
        profile, std::move(before),
        [&](const latency::Measurements& measured) {
          write_file_atomic(partial, dump(latency::to_json(measured), -1));
        },
        context.terminal, &context.cancel);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted && fs::exists(partial))
      context.terminal.info("what was measured is in " + partial.string() +
                            "; --resume goes on with it");
    throw;
  }
}

Json summary_json(const latency::DeviceFile& file, const fs::path& output) {
  Json json = {{"schema_version", kSchemaVersion}, {"path", output.string()},
               {"device", file.device.name},       {"cpu", file.device.cpu},
               {"seconds", file.seconds},          {"columns", Json::array()}};
  for (const latency::DeviceColumn& column : file.columns) {
    Json error = error_json(column.predictor->validation());
    error["coverage"] = column.predictor->validation().coverage;
    json["columns"].push_back({{"threads", column.threads},
                               {"networks", column.networks},
                               {"kernels", column.kernels},
                               {"dropped_rounds", column.noise.dropped_rounds},
                               {"rounds", column.noise.rounds},
                               {"drift", column.noise.drift},
                               {"repeatability", column.noise.repeatability},
                               {"validation", std::move(error)}});
  }
  return json;
}

std::string summary_text(const latency::DeviceFile& file,
                         const fs::path& output) {
  std::string text = fmt::format(
      "{}: {}, ONNX Runtime {}, measured for {:.0f} s\n\n", file.device.name,
      file.device.cpu, file.device.runtime_version, file.seconds);
  Table table({"threads", "networks", "kernels", "rounds dropped",
               "repeatability", "held-out MAPE", "RMSPE", "+-5%", "+-10%",
               "in p5..p95"});
  for (const latency::DeviceColumn& column : file.columns) {
    const latency::ValidationError& error = column.predictor->validation();
    table.add({std::to_string(column.threads), std::to_string(column.networks),
               std::to_string(column.kernels),
               fmt::format("{} of {}", column.noise.dropped_rounds,
                           column.noise.rounds),
               percent(column.noise.repeatability), percent(error.mape),
               percent(error.rmspe), percent(error.within_5),
               percent(error.within_10), percent(error.coverage)});
  }
  return text + table.text() + "\nprofile: " + output.string() + "\n";
}

int profile(const Options& options, Context& context) {
  const fs::path output = output_path(options);
  require_folder_of(output);
  latency::Measurements measurements = options.from.empty()
                                           ? measure(options, output, context)
                                           : read_measurements(options.from);
  if (!options.name.empty()) measurements.device.name = options.name;
  context.terminal.begin("fit", 0);
  const latency::DeviceFile file = latency::fit_device(measurements);
  context.terminal.end();
  write_file_atomic(output, latency::to_text(file));
  if (options.from.empty()) {
    std::error_code ignored;
    fs::remove(partial_path(output), ignored);
  }
  if (context.flags.json)
    print_json(summary_json(file, output));
  else
    print_result(summary_text(file, output));
  return 0;
}

std::vector<latency::ValidationSubject> subjects(const Options& options,
                                                 Context& context) {
  std::vector<latency::ValidationSubject> list;
  for (const std::string& path : options.validate) {
    io::format_of(path);  // it must exist
    list.push_back(
        {path, [path, &context] {
           ir::Model model = load_model(path, context);
           ir::bind_input_shapes(
               model,
               ir::default_input_shapes(
                   model, shapes_for(model, context.flags.input_shapes)));
           ir::infer_shapes(model);
           return model;
         }});
  }
  return list;
}

void print_validation(const std::vector<latency::ValidationRow>& rows,
                      const latency::OpenedDevice& device, Context& context) {
  const latency::ValidationError error = latency::summarize_errors(rows);
  const latency::ValidationError floor = latency::noise_floor(rows);
  if (context.flags.json) {
    Json json = {{"schema_version", kSchemaVersion},
                 {"device", device.model->device()},
                 {"threads", context.threads()},
                 {"models", Json::array()}};
    for (const latency::ValidationRow& row : rows)
      json["models"].push_back({{"path", row.name},
                                {"measured_latency_us", row.measured_us()},
                                {"again_latency_us", row.passes[1].low_us},
                                {"estimated_latency_us",
                                 {{"p5", row.estimate.p5_us},
                                  {"p50", row.estimate.p50_us},
                                  {"p95", row.estimate.p95_us}}},
                                {"error", row.error()},
                                {"unseen_share", row.unseen_share},
                                {"noisy", row.noisy()}});
    json["errors"] = error_json(error);
    json["errors"]["coverage"] = error.coverage;
    json["noise_floor"] = error_json(floor);
    print_json(json);
    return;
  }
  Table table({"model", "measured", "estimate", "p5", "p95", "error", "again",
               "unseen"});
  for (const latency::ValidationRow& row : rows)
    table.add({row.name, format_latency_us(row.measured_us()),
               format_latency_us(row.estimate.p50_us),
               format_latency_us(row.estimate.p5_us),
               format_latency_us(row.estimate.p95_us),
               fmt::format("{:+.1f}%", 100 * row.error()),
               fmt::format("{:+.1f}%", 100 * row.repeat_error()),
               percent(row.unseen_share) + (row.noisy() ? " noisy" : "")});
  print_result(
      table.text() +
      fmt::format(
          "\n{} models: MAPE {}, RMSPE {}, within 5% {}, within 10% "
          "{}, in p5..p95 {}\nmeasured: 10th percentile of the runs, median of "
          "the quiet passes; 'again': the second pass against the first, MAPE "
          "{}\n{} "
          "'{}', {} thread{}\n",
          rows.size(), percent(error.mape), percent(error.rmspe),
          percent(error.within_5), percent(error.within_10),
          percent(error.coverage), percent(floor.mape), device.source,
          device.model->device(), context.threads(),
          context.threads() == 1 ? "" : "s"));
}

int validate(const Options& options, Context& context) {
  const latency::OpenedDevice device =
      latency::open_device(options.device, context.threads());
  latency::ValidationOptions validation;
  validation.threads = context.threads();
  validation.seconds = 1;
  validation.seed = context.flags.seed;
  const std::vector<latency::ValidationRow> rows = latency::validate_estimates(
      *device.model, subjects(options, context), validation, context.terminal,
      &context.cancel);
  context.terminal.end();
  print_validation(rows, device, context);
  return 0;
}

int run(const Options& options, Context& context) {
  const auto exclusive = [](const char* flag, const char* with) {
    throw Error(ErrorKind::kUsage, "lathe profile",
                fmt::format("{} does not go with {}", flag, with));
  };
  if (!options.validate.empty()) {
    if (!options.from.empty()) exclusive("--from", "--validate");
    if (!options.output.empty()) exclusive("--output", "--validate");
    if (options.resume) exclusive("--resume", "--validate");
    if (context.flags.thread_counts.size() > 1)
      exclusive("a list of --threads", "--validate");
    return validate(options, context);
  }
  if (!options.device.empty()) exclusive("--device", "profiling");
  if (!options.from.empty() && options.resume) exclusive("--resume", "--from");
  return profile(options, context);
}

}  // namespace

Action setup_profile(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "--from", "PROBE.json", options->from,
           "fit what lathe-probe measured on a board; nothing is measured here")
      ->group("Input");
  add_text(app, "--budget", "TIME", options->budget,
           "time for all thread counts, fitting included")
      ->default_str("180s a thread count")
      ->group("Measurement");
  add_switch(app, "--resume", options->resume,
             "go on with a profiling that was interrupted")
      ->group("Measurement");
  add_text(app, "--name", "NAME", options->name,
           "the profile's name; default: told from the processor")
      ->group("Output");
  add_text(app, "-o,--output", "P.json", options->output,
           "the profile to write")
      ->default_str("this machine's, in the user's data folder")
      ->group("Output");
  add_texts(app, "--validate", "MODEL...", options->validate,
            "measure these ONNX models and compare with the estimates of a "
            "profile that there is already")
      ->allow_extra_args(true)
      ->group("Validation");
  add_text(app, "--device", "P", options->device,
           "the profile to validate; default: this machine's")
      ->group("Validation");
  app.footer(
      "  lathe profile -o device.json --threads 1,2\n"
      "  lathe profile --validate model.onnx other.onnx --device device.json");
  return [options](Context& context) { return run(*options, context); };
}

}  // namespace lathe::cli
