#include "passes/quantize/left_alone.h"

#include <fmt/format.h>

#include <algorithm>

#include "passes/base/text.h"
#include "passes/ir/op_table.h"

namespace lathe::quantize {
namespace {

void add_subgraphs(const ir::Node& node, std::vector<Remark>& remarks);

void add_inside(const ir::Graph& graph, const std::string& place,
                std::vector<Remark>& remarks) {
  for (const auto& node : graph.nodes()) {
    if (is_compute(*node))
      remarks.push_back(
          {node->id(),
           fmt::format("it stands in {}; only nodes of the top-level graph "
                       "are quantized",
                       place)});
    add_subgraphs(*node, remarks);
  }
}

void add_subgraphs(const ir::Node& node, std::vector<Remark>& remarks) {
  for (const ir::Graph* sub : node.subgraphs())
    add_inside(*sub, "a subgraph of " + node.label(), remarks);
}

}  // namespace

bool is_compute(const ir::Node& node) {
  const ir::Operator* op = ir::find_operator(node);
  return op && (op->op_class == ir::OpClass::kCompute ||
                op->op_class == ir::OpClass::kRecurrent);
}

std::vector<Remark> unknown_node_remarks(const ir::Graph& graph,
                                         const std::vector<std::string>& names,
                                         const std::string& option) {
  std::vector<Remark> remarks;
  if (names.empty()) return remarks;
  std::vector<std::string> ids;
  for (const auto& node : graph.nodes()) ids.push_back(node->id());
  for (const std::string& name : names)
    if (!std::ranges::count(ids, name))
      remarks.push_back(
          {"", fmt::format("{} names '{}', which is no node of the simplified "
                           "model{}",
                           option, name, did_you_mean(name, ids))});
  return remarks;
}

std::vector<Remark> inner_node_remarks(const ir::Model& model) {
  std::vector<Remark> remarks;
  for (const auto& node : model.graph->nodes()) add_subgraphs(*node, remarks);
  for (const ir::Function& function : model.functions)
    add_inside(*function.body, "function '" + function.name + "'", remarks);
  return remarks;
}

}  // namespace lathe::quantize
