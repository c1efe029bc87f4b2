#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "calibration/data/descriptor.h"
#include "calibration/latency/estimator/devices.h"
#include "calibration/ranges/observer.h"
#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/distill/losses.h"
#include "passes/io/import.h"
#include "passes/io/torch/torch_import.h"
#include "passes/ir/op_table.h"
#include "passes/prune/saliency.h"
#include "recipes/gate_table.h"
#include "recipes/pass_table.h"
#include "recipes/recipe.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

struct Item {
  std::string name, summary;
};
using Items = std::vector<Item>;

// One row a kind; the items come from the tables themselves.
struct Kind {
  const char* name;
  const char* summary;
  Items (*items)();
};

std::span<const Kind> kinds();

Items passes() {
  Items items;
  for (const recipes::PassRow& row : recipes::pass_table())
    items.push_back({row.name, row.summary});
  return items;
}

Items devices() {
  Items items;
  for (const latency::DeviceRow& row : latency::device_rows())
    items.push_back({row.name, row.summary});
  return items;
}

Items presets() {
  Items items;
  for (const recipes::Preset& preset : recipes::presets())
    items.push_back({preset.name, preset.summary});
  return items;
}

Items gates() {
  Items items;
  for (const recipes::GateRow& row : recipes::gate_table())
    items.push_back({row.name, row.summary});
  return items;
}

Items formats() {
  Items items;
  for (const data::Format& format : data::formats())
    items.push_back({format.name, *format.path_kind
                                      ? format.path_kind
                                      : "made by the program from a seed"});
  return items;
}

Items operators() {
  Items items;
  for (const ir::Operator& op : ir::all_operators()) {
    const std::string domain = op.domain;
    items.push_back({domain.empty() ? op.name : domain + "." + op.name, ""});
  }
  return items;
}

Items models() {
  Items items;
  for (const io::InputFormat& format : io::input_formats())
    items.push_back({format.name, format.summary});
  return items;
}

Items aten() {
  Items items;
  for (const std::string& name : io::translated_aten_operators())
    items.push_back({name, ""});
  return items;
}

Items observers() {
  Items items;
  for (const ranges::ObserverRow& row : ranges::observers())
    items.push_back({row.name, row.summary});
  return items;
}

Items saliencies() {
  Items items;
  for (const prune::SaliencyMethod& method : prune::saliency_methods())
    items.push_back({std::string(method.name), std::string(method.summary)});
  return items;
}

Items losses() {
  Items items;
  for (const distill::LossRow& row : distill::loss_table())
    items.push_back({row.name, row.summary});
  return items;
}

Items commands() {
  Items items;
  for (const Command& command : command_table())
    items.push_back({command.name, command.summary});
  return items;
}

Items kind_items() {
  Items items;
  for (const Kind& kind : kinds()) items.push_back({kind.name, kind.summary});
  return items;
}

constexpr Kind kKinds[] = {
    {"passes", "what a recipe's stage can be", &passes},
    {"recipes", "presets that ship in the program", &presets},
    {"gates", "bounds that a recipe can set", &gates},
    {"devices", "device profiles for estimates", &devices},
    {"formats", "data formats of a descriptor", &formats},
    {"models", "formats of model files", &models},
    {"aten", "PyTorch operators that have a translation", &aten},
    {"observers", "ways to find the ranges of activations", &observers},
    {"saliencies", "ways to measure what a channel contributes", &saliencies},
    {"losses", "what a student can be held to", &losses},
    {"operators", "operators with a row in the operator table", &operators},
    {"commands", "commands of this program", &commands},
    {"kinds", "this list", &kind_items},
};

std::span<const Kind> kinds() { return kKinds; }

const Kind& find_kind(const std::string& name) {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) {
    if (name == kind.name) return kind;
    names.push_back(kind.name);
  }
  throw Error(ErrorKind::kUsage, "lathe list",
              "unknown kind '" + name + "'" + did_you_mean(name, names),
              "the kinds are " + join(names, ", "));
}

int list(const std::string& name, const Context& context) {
  const Items items = find_kind(name).items();
  if (context.flags.json) {
    Json json = {{"schema_version", kSchemaVersion},
                 {"kind", name},
                 {"items", Json::array()}};
    for (const Item& item : items) {
      Json one = {{"name", item.name}};
      if (!item.summary.empty()) one["summary"] = item.summary;
      json["items"].push_back(std::move(one));
    }
    print_json(json);
    return 0;
  }
  size_t width = 0;
  for (const Item& item : items) width = std::max(width, item.name.size());
  std::string text;
  for (const Item& item : items)
    text += item.summary.empty()
                ? item.name + "\n"
                : fmt::format("{:<{}}  {}\n", item.name, width, item.summary);
  print_result(text);
  return 0;
}

}  // namespace

Action setup_list(CLI::App& app) {
  auto kind = std::make_shared<std::string>("kinds");
  std::vector<std::string> names;
  for (const Kind& row : kinds()) names.push_back(row.name);
  add_text(app, "KIND", "KIND", *kind, join(names, ", "))->group("Input");
  app.footer(
      "  lathe list passes\n"
      "  lathe list recipes --json");
  return [kind](Context& context) { return list(*kind, context); };
}

}  // namespace lathe::cli
