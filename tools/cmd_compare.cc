#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include "calibration/accuracy/layer_compare.h"
#include "calibration/data/data.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "tools/command.h"
#include "tools/compare_html.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

using accuracy::Comparison;
using accuracy::LayerError;

constexpr int kGateMissed = 3;

struct Options {
  std::string reference, other, data, html, min_sqnr;
  int64_t top = 20;
};

// Layers by how much they lose, most first.
std::vector<size_t> by_drop(const Comparison& comparison) {
  std::vector<size_t> order(comparison.layers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto key = [&](size_t i) {
    const LayerError& layer = comparison.layers[i];
    return std::pair(-layer.drop_db, layer.sqnr_db);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return key(a) < key(b); });
  return order;
}

// The outputs below the gate.
std::vector<const OutputFidelity*> below(const Comparison& comparison,
                                         double min_sqnr_db) {
  std::vector<const OutputFidelity*> outputs;
  for (const OutputFidelity& output : comparison.accuracy.outputs)
    if (output.sqnr_db < min_sqnr_db) outputs.push_back(&output);
  return outputs;
}

template <class T>
void set_known(Json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}

Json layer_json(const Comparison& comparison, size_t position) {
  const LayerError& layer = comparison.layers[position];
  Json json = {{"name", layer.name},
               {"operator", layer.operator_type},
               {"position", position},
               {"sqnr_db", layer.sqnr_db},
               {"drop_db", layer.drop_db},
               {"cosine", layer.cosine},
               {"max_abs_diff", layer.max_abs_diff}};
  set_known(json, "channel_sqnr_db", layer.channel_sqnr_db);
  set_known(json, "clipped_share", layer.clipped_share);
  set_known(json, "unused_codes_share", layer.unused_codes_share);
  return json;
}

Json name_json(const Comparison& comparison,
               const std::optional<size_t>& layer) {
  return layer ? Json(comparison.layers[*layer].name) : Json();
}

Json to_json(const Comparison& comparison,
             const std::optional<double>& min_sqnr_db) {
  Json json = {{"schema_version", kSchemaVersion},
               {"samples", comparison.samples},
               {"first_jump", name_json(comparison, comparison.first_jump)},
               {"jumps", comparison.jumps},
               {"cause", name_json(comparison, comparison.cause)},
               {"summary", accuracy::describe_jump(comparison)},
               {"layers", Json::array()},
               {"outputs", Json::array()}};
  for (const size_t i : by_drop(comparison))
    json["layers"].push_back(layer_json(comparison, i));
  for (const OutputFidelity& output : comparison.accuracy.outputs)
    json["outputs"].push_back({{"name", output.name},
                               {"sqnr_db", output.sqnr_db},
                               {"cosine", output.cosine},
                               {"max_abs_diff", output.max_abs_diff}});
  set_known(json, "agreement", comparison.accuracy.agreement);
  set_known(json, "top1", comparison.accuracy.top1);
  set_known(json, "reference_top1", comparison.reference_top1);
  json["unmatched"] = comparison.unmatched;
  json["remarks"] = accuracy::comparison_remarks(comparison);
  if (min_sqnr_db)
    json["gate"] = {{"min_sqnr_db", *min_sqnr_db},
                    {"passed", below(comparison, *min_sqnr_db).empty()}};
  return json;
}

std::string db(const std::optional<double>& value) {
  return value ? fmt::format("{:.1f} dB", *value) : "-";
}

std::string share(const std::optional<double>& value) {
  return value ? fmt::format("{:.2f}%", 100 * *value) : "-";
}

std::string layer_table(const Comparison& comparison, size_t top) {
  if (comparison.layers.empty() || top == 0) return "";
  Table table({"layer", "operator", "SQNR", "drop", "cosine", "channels",
               "clipped", "unused"},
              {1});
  std::vector<size_t> order = by_drop(comparison);
  order.resize(std::min(order.size(), top));
  for (const size_t i : order) {
    const LayerError& layer = comparison.layers[i];
    table.add({layer.name, layer.operator_type, db(layer.sqnr_db),
               db(layer.drop_db), fmt::format("{:.5f}", layer.cosine),
               db(layer.channel_sqnr_db), share(layer.clipped_share),
               share(layer.unused_codes_share)});
  }
  std::string text = "\n" + table.text();
  if (order.size() < comparison.layers.size())
    text += fmt::format(
        "({} of {} layers, those that lose most; --top N shows "
        "more)\n",
        order.size(), comparison.layers.size());
  return text;
}

std::string output_table(const Comparison& comparison) {
  if (comparison.accuracy.outputs.empty()) return "";
  Table table({"output", "SQNR", "cosine", "max |difference|"});
  for (const OutputFidelity& output : comparison.accuracy.outputs)
    table.add({output.name, db(output.sqnr_db),
               fmt::format("{:.5f}", output.cosine),
               fmt::format("{:.4g}", output.max_abs_diff)});
  return "\n" + table.text();
}

std::string to_text(const Options& options, const Comparison& comparison) {
  std::string text = fmt::format(
      "{} against {}: {} samples\n{}\n", options.other, options.reference,
      comparison.samples, accuracy::describe_jump(comparison));
  text += layer_table(comparison, static_cast<size_t>(options.top));
  text += output_table(comparison);
  if (comparison.accuracy.agreement)
    text += "\nagreement " + share(comparison.accuracy.agreement) + "\n";
  if (comparison.accuracy.top1 && comparison.reference_top1)
    text += "top-1 " + share(comparison.reference_top1) + " before, " +
            share(comparison.accuracy.top1) + " after\n";
  const auto remarks = accuracy::comparison_remarks(comparison);
  if (!remarks.empty()) text += "\n";
  for (const std::string& remark : remarks) text += "remark: " + remark + "\n";
  return text;
}

// Says what is below; the exit code.
int judge(const Comparison& comparison, double min_sqnr_db, Context& context) {
  if (comparison.accuracy.outputs.empty())
    throw_input("--min-sqnr",
                "the models have no floating-point output to judge by");
  const auto missed = below(comparison, min_sqnr_db);
  for (const OutputFidelity* output : missed)
    context.terminal.warn(
        fmt::format("output '{}' has {:.1f} dB, --min-sqnr asks for {:.1f} dB",
                    output->name, output->sqnr_db, min_sqnr_db));
  return missed.empty() ? 0 : kGateMissed;
}

int compare(const Options& options, Context& context) {
  std::optional<double> min_sqnr_db;
  if (!options.min_sqnr.empty())
    min_sqnr_db = parse_decibels("--min-sqnr", options.min_sqnr);
  if (!options.html.empty()) require_folder_of(options.html);
  const ir::Model reference = load_model(options.reference, context);
  const ir::Model other = load_model(options.other, context);
  const auto source = open_samples(
      options.data, reference,
      "the data is synthetic: real data may lose more, and elsewhere", context);
  accuracy::CompareOptions compare_options;
  compare_options.samples = context.flags.samples;
  compare_options.jobs = context.jobs();
  const Comparison comparison =
      accuracy::compare_layers(reference, other, *source, compare_options,
                               context.terminal, &context.cancel);
  context.terminal.end();
  if (!options.html.empty())
    write_file_atomic(options.html, compare_html(comparison, options.reference,
                                                 options.other));
  if (context.flags.json) {
    print_json(to_json(comparison, min_sqnr_db));
  } else {
    print_result(to_text(options, comparison));
  }
  return min_sqnr_db ? judge(comparison, *min_sqnr_db, context) : 0;
}

}  // namespace

Action setup_compare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "A", "A", options->reference,
           std::string("the model to compare with: ") + io::kModelFiles)
      ->required()
      ->group("Input");
  add_text(app, "B", "B", options->other,
           "the same model quantized or otherwise changed")
      ->required()
      ->group("Input");
  add_text(app, "--data", "D", options->data,
           "a data descriptor (.json), an .npz file, an ONNX test-case folder, "
           "or 'synthetic'")
      ->required()
      ->group("Input");
  add_text(app, "--min-sqnr", "DB", options->min_sqnr,
           "exit 3 when an output is below this")
      ->group("Gate");
  add_text(app, "--html", "F.html", options->html,
           "write a page with a chart of all layers")
      ->group("Output");
  add_count(app, "--top", "N", 0, std::numeric_limits<int64_t>::max(),
            options->top, "layers in the table, those that lose most")
      ->group("Output");
  app.footer(
      "  lathe compare model.onnx model-int8.onnx --data test.json\n"
      "  lathe compare model.onnx model-int8.onnx --data test.json --samples "
      "64 --html layers.html --min-sqnr 20");
  return [options](Context& context) { return compare(*options, context); };
}

}  // namespace lathe::cli
