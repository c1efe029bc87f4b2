#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "calibration/latency/estimator/devices.h"
#include "calibration/latency/estimator/explain.h"
#include "passes/base/text.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string device;
  bool per_node = false, explain = false;
};

struct Estimated {
  std::string path;
  GraphEstimate estimate;
  std::vector<latency::Hint> hints;
};

Estimated estimate_one(const std::string& path, const LatencyModel& device,
                       const Options& options, Context& context) {
  ir::Model model = load_model(path, context);
  ir::bind_input_shapes(
      model, ir::default_input_shapes(
                 model, shapes_for(model, context.flags.input_shapes)));
  Estimated result;
  result.path = path;
  result.estimate = device.estimate(model);
  if (options.explain) result.hints = latency::explain(device, result.estimate);
  return result;
}

Json latency_json(const LatencyEstimate& latency) {
  return {
      {"p5", latency.p5_us}, {"p50", latency.p50_us}, {"p95", latency.p95_us}};
}

Json kernel_json(const KernelEstimate& kernel) {
  return {{"name", kernel.name},
          {"kind", kernel.kind},
          {"nodes", kernel.nodes},
          {"latency_us", kernel.latency.p50_us},
          {"interval_us",
           {{"p5", kernel.latency.p5_us}, {"p95", kernel.latency.p95_us}}},
          {"precision", to_string(kernel.descriptor.precision)},
          {"layout", to_string(kernel.descriptor.layout)},
          {"seen", kernel.seen}};
}

Json hint_json(const latency::Hint& hint) {
  Json json = {{"kind", to_string(hint.kind)}, {"kernel", hint.kernel},
               {"nodes", hint.nodes},          {"from_us", hint.from_us},
               {"to_us", hint.to_us},          {"text", hint.text}};
  if (hint.width.empty()) return json;
  json["width"] = hint.width;
  json["from"] = hint.from;
  json["to"] = hint.to;
  return json;
}

Json to_json(const LatencyModel& device, const Options& options,
             const Context& context, const std::vector<Estimated>& results) {
  Json json = {{"schema_version", kSchemaVersion},
               {"device", device.device()},
               {"calibrated", device.calibrated()},
               {"threads", context.threads()},
               {"models", Json::array()}};
  for (const Estimated& result : results) {
    Json one = {{"path", result.path},
                {"latency_us", latency_json(result.estimate.latency)},
                {"unseen_share", result.estimate.unseen_share},
                {"kernels", Json::array()},
                {"warnings", result.estimate.warnings}};
    for (const KernelEstimate& kernel : result.estimate.kernels)
      one["kernels"].push_back(kernel_json(kernel));
    if (options.explain) {
      one["hints"] = Json::array();
      for (const latency::Hint& hint : result.hints)
        one["hints"].push_back(hint_json(hint));
    }
    json["models"].push_back(std::move(one));
  }
  return json;
}

std::string percent(double fraction) {
  return fmt::format("{:.1f}%", 100 * fraction);
}

// A kernel's share of the sum of all.
double total_us(const GraphEstimate& estimate) {
  double total = 0;
  for (const KernelEstimate& kernel : estimate.kernels)
    total += kernel.latency.p50_us;
  return total > 0 ? total : 1;
}

std::string per_kind(const GraphEstimate& estimate) {
  struct Row {
    int64_t kernels = 0;
    double us = 0;
  };
  std::map<std::string, Row> rows;
  for (const KernelEstimate& kernel : estimate.kernels) {
    const KernelDescriptor& d = kernel.descriptor;
    Row& row =
        rows[d.precision == Precision::kFp32
                 ? kernel.kind
                 : fmt::format("{} {}", kernel.kind, to_string(d.precision))];
    ++row.kernels;
    row.us += kernel.latency.p50_us;
  }
  std::vector<std::pair<std::string, Row>> sorted(rows.begin(), rows.end());
  std::stable_sort(
      sorted.begin(), sorted.end(),
      [](const auto& a, const auto& b) { return a.second.us > b.second.us; });
  Table table({"kind", "kernels", "time", "share"});
  for (const auto& [kind, row] : sorted)
    table.add({kind, std::to_string(row.kernels), format_latency_us(row.us),
               percent(row.us / total_us(estimate))});
  return table.text();
}

std::string per_node(const GraphEstimate& estimate) {
  Table table({"kernel", "kind", "precision", "layout", "time", "p5", "p95",
               "share", ""},
              {1, 2, 3, 8});
  for (const KernelEstimate& kernel : estimate.kernels)
    table.add({kernel.nodes.empty() ? kernel.name : kernel.nodes.front(),
               kernel.kind, to_string(kernel.descriptor.precision),
               to_string(kernel.descriptor.layout),
               format_latency_us(kernel.latency.p50_us),
               format_latency_us(kernel.latency.p5_us),
               format_latency_us(kernel.latency.p95_us),
               percent(kernel.latency.p50_us / total_us(estimate)),
               kernel.seen ? "" : "not in the profile"});
  return table.text();
}

std::string to_text(const LatencyModel& device, const std::string& source,
                    const Options& options, const Context& context,
                    const std::vector<Estimated>& results) {
  Table table({"model", "estimate", "p5", "p95", "unseen"});
  for (const Estimated& result : results) {
    const LatencyEstimate& latency = result.estimate.latency;
    table.add({result.path, format_latency_us(latency.p50_us),
               format_latency_us(latency.p5_us),
               format_latency_us(latency.p95_us),
               percent(result.estimate.unseen_share)});
  }
  std::string text = table.text();
  for (const Estimated& result : results) {
    if (options.per_node || options.explain || results.size() > 1)
      text += "\n" + result.path + "\n";
    else
      text += "\n";
    text += options.per_node ? per_node(result.estimate)
                             : per_kind(result.estimate);
    if (!options.explain) continue;
    text +=
        result.hints.empty() ? "\nno hints: no width stands at a step\n" : "\n";
    for (const latency::Hint& hint : result.hints)
      text += fmt::format("{}: {}\n", to_string(hint.kind), hint.text);
  }
  return text + fmt::format("\n{} '{}', {} thread{}\n", source, device.device(),
                            context.threads(),
                            context.threads() == 1 ? "" : "s");
}

int estimate(const Options& options, Context& context) {
  const latency::OpenedDevice device =
      latency::open_device(options.device, context.threads());
  if (!device.model->calibrated())
    context.terminal.warn("the profile '" + device.model->device() +
                          "' is not calibrated: no measurement stands behind "
                          "its estimates");
  std::vector<Estimated> results;
  for (const std::string& path : options.models) {
    context.cancel.check();
    results.push_back(estimate_one(path, *device.model, options, context));
    for (const std::string& warning : results.back().estimate.warnings)
      context.terminal.warn(path + ": " + warning);
  }
  if (context.flags.json)
    print_json(to_json(*device.model, options, context, results));
  else
    print_result(
        to_text(*device.model, device.source, options, context, results));
  return 0;
}

}  // namespace

Action setup_estimate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_texts(app, "MODEL", "MODEL...", options->models, io::kModelFiles)
      ->required()
      ->group("Input");
  add_text(app, "--device", "P", options->device,
           "a device profile's file or the name of an embedded one; 'lathe "
           "list devices' names them")
      ->group("Input");
  app.get_option("--device")->default_str("this machine's");
  add_switch(app, "--per-node", options->per_node,
             "a line for each kernel instead of one for each kind")
      ->group("Output");
  add_switch(app, "--explain", options->explain,
             "hints: widths that can grow for free or stand just above a step, "
             "layers that int8 slows down")
      ->group("Output");
  app.footer(
      "  lathe estimate model.onnx\n"
      "  lathe estimate model.onnx --device board.json --per-node --explain");
  return [options](Context& context) { return estimate(*options, context); };
}

}  // namespace lathe::cli
