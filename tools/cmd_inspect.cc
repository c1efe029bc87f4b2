#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "passes/ir/op_table.h"
#include "passes/prune/channel_groups.h"
#include "passes/rewrite/rewrite.h"
#include "tools/activation_memory.h"
#include "tools/channel_groups_text.h"
#include "tools/command.h"
#include "tools/flags.h"
#include "tools/model_file.h"
#include "tools/output.h"

namespace lathe::cli {
namespace {

struct Options {
  std::string model, dot;
  int64_t top = 10;
  bool groups = false;
};

struct HeavyNode {
  std::string id, op;
  ir::Cost cost;
  double share = 0;  // of MACs, or of bytes in a model without MACs
};

struct Inspection {
  ir::Model model;  // as the file has it
  uint64_t size_bytes = 0;
  std::vector<std::pair<std::string, int64_t>> operators;  // most used first
  std::vector<std::string> unknown_operators;
  int64_t nodes = 0, parameters = 0;
  ir::InputShapes input_shapes;  // that the figures below are for
  std::optional<int64_t> macs;
  std::optional<uint64_t> activation_bytes;
  std::vector<HeavyNode> heaviest;
  std::optional<prune::ChannelGroups> groups;  // where they are asked for
};

std::string full_name(const ir::Node& node) {
  return node.domain.empty() ? node.op_type : node.domain + "." + node.op_type;
}

void count_operators(Inspection& result) {
  std::map<std::string, int64_t> counts;
  ir::for_each_graph(*result.model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes()) {
      ++result.nodes;
      if (++counts[full_name(*node)] == 1 && !ir::find_operator(*node) &&
          !result.model.has_function(*node))
        result.unknown_operators.push_back(full_name(*node));
    }
  });
  result.operators.assign(counts.begin(), counts.end());
  std::stable_sort(
      result.operators.begin(), result.operators.end(),
      [](const auto& a, const auto& b) { return a.second > b.second; });
}

void find_heaviest(ir::Model& bound, size_t top, Inspection& result) {
  ir::Cost total;
  ir::for_each_graph(*bound.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes()) {
      const auto cost = ir::node_cost(*node);
      if (!cost) continue;
      result.heaviest.push_back({node->id(), full_name(*node), *cost});
      total.macs += cost->macs;
      total.bytes += cost->bytes;
    }
  });
  const auto weight = [&](const ir::Cost& cost) {
    return total.macs > 0 ? cost.macs : cost.bytes;
  };
  std::stable_sort(result.heaviest.begin(), result.heaviest.end(),
                   [&](const HeavyNode& a, const HeavyNode& b) {
                     return weight(a.cost) > weight(b.cost);
                   });
  if (result.heaviest.size() > top) result.heaviest.resize(top);
  for (HeavyNode& node : result.heaviest)
    if (weight(total) > 0)
      node.share = static_cast<double>(weight(node.cost)) /
                   static_cast<double>(weight(total));
}

// What depends on shapes; a model whose shapes do not follow is still shown.
void price(const Options& options, Context& context, Inspection& result) {
  ir::Model bound = ir::clone(result.model);
  try {
    result.input_shapes =
        ir::default_input_shapes(bound, context.flags.input_shapes);
    ir::bind_input_shapes(bound, result.input_shapes);
    ir::infer_shapes(bound);
  } catch (const Error& error) {
    if (!context.flags.input_shapes.empty()) throw;
    context.terminal.warn("MACs and activation memory are not known: " +
                          std::string(error.what()));
    return;
  }
  result.macs = ir::total_macs(bound);
  result.activation_bytes = peak_activation_bytes(*bound.graph);
  find_heaviest(bound, static_cast<size_t>(options.top), result);
}

// Of the graph that passes see after 'simplify'.
prune::ChannelGroups find_groups(const ir::Model& model, Context& context) {
  ir::Model simplified = ir::clone(model);
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(rewrite::make_simplify());
  PassContext pass_context;
  pass_context.jobs = context.jobs();
  pass_context.cancel = &context.cancel;
  run_passes(simplified, passes, pass_context);
  return prune::ChannelGroups(
      simplified, shapes_for(simplified, context.flags.input_shapes));
}

std::vector<const ir::Value*> true_inputs(const ir::Model& model) {
  std::vector<const ir::Value*> inputs;
  for (const ir::Value* value : model.graph->inputs())
    if (!value->has_initializer()) inputs.push_back(value);
  return inputs;
}

Json to_json(const Options& options, const Inspection& result) {
  const ir::Model& model = result.model;
  Json json = {{"schema_version", kSchemaVersion},
               {"path", options.model},
               {"ir_version", model.ir_version},
               {"opset", model.opset()},
               {"opset_imports", model.opset_imports},
               {"producer", model.producer_name},
               {"producer_version", model.producer_version},
               {"inputs", Json::array()},
               {"outputs", Json::array()},
               {"parameters", result.parameters}};
  for (const ir::Value* value : true_inputs(model))
    json["inputs"].push_back(value_json(value->name(), value->type));
  for (const ir::Value* value : model.graph->outputs())
    json["outputs"].push_back(value_json(value->name(), value->type));
  if (result.macs) json["macs"] = *result.macs;
  json["size_bytes"] = result.size_bytes;
  if (result.activation_bytes)
    json["activation_bytes"] = *result.activation_bytes;
  if (!result.input_shapes.empty()) json["input_shapes"] = result.input_shapes;
  json["nodes"] = Json::object();
  for (const auto& [name, count] : result.operators)
    json["nodes"][name] = count;
  json["unknown_operators"] = result.unknown_operators;
  json["heaviest"] = Json::array();
  for (const HeavyNode& node : result.heaviest)
    json["heaviest"].push_back({{"node", node.id},
                                {"operator", node.op},
                                {"macs", node.cost.macs},
                                {"bytes", node.cost.bytes},
                                {"share", node.share}});
  if (options.groups) {
    json["groups"] = groups_json(*result.groups);
    json["remarks"] = remarks_json(*result.groups);
  }
  return json;
}

std::string shapes_text(const Inspection& result) {
  std::vector<std::string> parts;
  for (const auto& [name, dims] : result.input_shapes)
    parts.push_back((name.empty() ? "" : name + " ") +
                    ir::to_string(ir::to_shape(dims)));
  return parts.empty() ? "" : "  (" + join(parts, ", ") + ")";
}

std::string to_text(const Options& options, const Inspection& result) {
  const ir::Model& model = result.model;
  std::string text = fmt::format(
      "{}: opset {}, IR {}, {}{}\n\n", options.model, model.opset(),
      model.ir_version, format_bytes(result.size_bytes),
      model.producer_name.empty() ? "" : ", made by " + model.producer_name);
  Table values({"", "name", "type"}, {1, 2});
  for (const ir::Value* value : true_inputs(model))
    values.add({"input", value->name(), ir::to_string(value->type)});
  for (const ir::Value* value : model.graph->outputs())
    values.add({"output", value->name(), ir::to_string(value->type)});
  text += values.text() + "\n";

  const auto line = [&](const char* name, const std::string& figure) {
    text += fmt::format("{:<18}{}\n", name, figure);
  };
  const auto shapes = shapes_text(result);
  line("parameters", format_count(result.parameters));
  line("MACs", result.macs ? format_count(*result.macs) + shapes : "not known");
  line("activation memory",
       result.activation_bytes
           ? format_bytes(*result.activation_bytes) + " at the peak" + shapes
           : "not known");
  std::vector<std::string> operators;
  for (const auto& [name, count] : result.operators)
    operators.push_back(fmt::format("{} {}", name, count));
  line("nodes", fmt::format("{}  ({})", result.nodes, join(operators, ", ")));
  if (!result.unknown_operators.empty())
    line("unknown to Lathe", join(result.unknown_operators, ", "));
  if (result.heaviest.empty()) return text;

  Table heavy({"heaviest nodes", "operator", "MACs", "bytes", "share"}, {1});
  for (const HeavyNode& node : result.heaviest)
    heavy.add({node.id, node.op, format_count(node.cost.macs),
               format_bytes(node.cost.bytes),
               fmt::format("{:.1f}%", 100 * node.share)});
  return text + "\n" + heavy.text();
}

int inspect(const Options& options, Context& context) {
  if (!options.dot.empty()) require_folder_of(options.dot);
  Inspection result;
  result.model = load_model(options.model, context);
  if (options.groups || !options.dot.empty())
    result.groups = find_groups(result.model, context);
  if (!options.dot.empty())
    write_file_atomic(options.dot, groups_dot(*result.groups, options.model));
  if (options.groups && !context.flags.json) {
    print_result(groups_text(*result.groups));
    return 0;
  }
  result.size_bytes = std::filesystem::file_size(options.model);
  result.parameters = ir::count_parameters(result.model);
  count_operators(result);
  price(options, context, result);
  if (context.flags.json) {
    print_json(to_json(options, result));
  } else {
    print_result(to_text(options, result));
  }
  return 0;
}

}  // namespace

Action setup_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_text(app, "MODEL", "MODEL", options->model, io::kModelFiles)
      ->required()
      ->group("Input");
  add_count(app, "--top", "N", 0, 1'000'000, options->top,
            "how many of the heaviest nodes to show")
      ->group("Output");
  add_switch(app, "--groups", options->groups,
             "show the channels, heads and features that 'lathe prune' can "
             "remove, and why others stay")
      ->group("Output");
  add_text(app, "--dot", "F.dot", options->dot,
           "draw the groups as a Graphviz file")
      ->group("Output");
  app.footer(
      "  lathe inspect model.onnx\n"
      "  lathe inspect model.onnx --groups --dot groups.dot\n"
      "  lathe inspect model.onnx --input-shape input:1x3x224x224 --json");
  return [options](Context& context) { return inspect(*options, context); };
}

}  // namespace lathe::cli
