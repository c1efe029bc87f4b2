#include "passes/prune/gated_model.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "passes/ir/op_table.h"

namespace lathe::prune {
namespace {

bool is_of(const WeightAxis& weight, const ir::Node& node) {
  return node.output() && node.output()->name() == weight.result;
}

// Sizes, not elements.
bool counts(const ir::Node& node) {
  const ir::Operator* row = ir::find_operator(node);
  return row && row->op_class == ir::OpClass::kShape;
}

}  // namespace

GatedModel::GatedModel(const ir::Model& model,
                       const std::vector<ChannelGroup>& groups)
    : model_(ir::clone(model)) {
  Uses uses;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (!groups[g].frozen.empty()) continue;
    const std::vector<UnitEnd> ends = unit_ends(*model_.graph, groups[g]);
    for (const UnitEnd& end : ends)
      uses[{end.node, end.input}].push_back(
          {g, end.axis->axis, &end.axis->positions});
    for (const WeightAxis& reader : groups[g].readers)
      if (std::ranges::none_of(ends, [&](const UnitEnd& end) {
            return is_of(reader, *end.node);
          }))
        weights_[reader.weight].push_back({g, reader.axis, &reader.positions});
  }
  insert(uses);
}

// Uses of one value that end the same groups share an Identity.
void GatedModel::insert(const Uses& uses) {
  ir::Graph& graph = *model_.graph;
  std::map<std::pair<std::string, std::vector<size_t>>, ir::Value*> made;
  for (ir::Node* node : graph.node_list())
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      const auto found = uses.find({node, i});
      if (found == uses.end()) continue;
      ir::Value* value = node->input(i);
      std::pair<std::string, std::vector<size_t>> key{value->name(), {}};
      for (const Gate& gate : found->second) key.second.push_back(gate.group);
      ir::Value*& gated = made[key];
      if (!gated) {
        const ir::Node* identity =
            graph.add_node("Identity", {value},
                           std::vector<std::string>{
                               graph.unique_name(value->name() + "_gated")},
                           node);
        gated = identity->output();
        gated->type = value->type;
        sites_.push_back({gated->name(), found->second});
      }
      node->set_input(i, gated);
    }
}

std::vector<UnitEnd> unit_ends(const ir::Graph& graph,
                               const ChannelGroup& group) {
  std::unordered_map<std::string, const ValueAxis*> axes;
  for (const ValueAxis& axis : group.values) axes.emplace(axis.value, &axis);
  const auto axis_of = [&](const ir::Value* value) -> const ValueAxis* {
    const auto found = value ? axes.find(value->name()) : axes.end();
    return found == axes.end() ? nullptr : found->second;
  };
  std::vector<UnitEnd> ends;
  for (const auto& node : graph.nodes()) {
    if (counts(*node)) continue;
    const bool carried = std::ranges::any_of(node->outputs(), axis_of);
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      const ValueAxis* axis = axis_of(node->input(i));
      if (!axis) continue;
      const auto reads = [&](const WeightAxis& reader) {
        return is_of(reader, *node) && reader.value == axis->value;
      };
      if (carried && std::ranges::none_of(group.readers, reads)) continue;
      ends.push_back({node.get(), i, axis});
      break;
    }
  }
  return ends;
}

}  // namespace lathe::prune
