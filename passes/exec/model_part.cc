#include "passes/exec/model_part.h"

#include <algorithm>

#include "passes/base/error.h"

namespace lathe::exec {
namespace {

// The node of the top-level graph that holds `node`.
const ir::Node* outermost(const ir::Node* node) {
  while (const ir::Node* owner = node->graph().owner()) node = owner;
  return node;
}

ir::Value* find(const ir::Graph& graph, const std::string& name) {
  if (ir::Value* value = graph.find(name)) return value;
  throw_internal("model part", "the graph has no value '" + name + "'");
}

// Gives the readers of a computed value a graph input of its name instead.
void make_input(ir::Graph& graph, const std::string& name) {
  ir::Value* computed = find(graph, name);
  if (computed->is_graph_input()) return;
  graph.rename(computed, graph.unique_name(name + "_computed"));
  ir::Value* input = graph.add_input(name, computed->type);
  const std::vector<ir::Use> uses = computed->uses();
  for (const ir::Use& use : uses) use.node->set_input(use.index, input);
}

bool is_used(const ir::Node& node) {
  return std::ranges::any_of(node.outputs(), [](const ir::Value* value) {
    return value && !value->unused();
  });
}

// All that no output needs, graph inputs included.
void drop_unused(ir::Graph& graph) {
  const std::vector<ir::Node*> nodes = graph.node_list();
  for (size_t i = nodes.size(); i > 0; --i)
    if (!is_used(*nodes[i - 1])) graph.remove_node(nodes[i - 1]);
  for (ir::Value* value : graph.values()) {
    if (!value->unused() || value->producer()) continue;
    if (value->is_graph_input()) graph.remove_input(value);
    graph.remove_value(value);
  }
}

}  // namespace

ExecutionOrder::ExecutionOrder(const ir::Graph& graph) {
  size_t next = 0;
  for (const auto& node : graph.nodes()) position_[node.get()] = next++;
  for (const ir::Value* input : graph.inputs())
    if (!input->has_initializer()) add(*input, 0);
  for (const auto& node : graph.nodes())
    if (depends_on_inputs(*node))
      for (const ir::Value* output : node->outputs())
        if (output) add(*output, position(*node) + 1);
}

bool ExecutionOrder::depends_on_inputs(const ir::Node& node) const {
  if (!node.subgraphs().empty()) return true;
  return std::ranges::any_of(node.inputs(), [&](const ir::Value* value) {
    return value && !is_fixed(*value);
  });
}

void ExecutionOrder::add(const ir::Value& value, size_t begin) {
  Life life{begin, 0, !value.uses().empty()};
  for (const ir::Use& use : value.uses())
    life.end = std::max(life.end, position(*outermost(use.node)));
  lives_[&value] = life;
  values_.push_back(&value);
}

std::vector<const ir::Value*> ExecutionOrder::alive(size_t position) const {
  std::vector<const ir::Value*> found;
  for (const ir::Value* value : values_) {
    const Life& life = lives_.at(value);
    if (life.read && life.begin <= position && life.end >= position)
      found.push_back(value);
  }
  return found;
}

ir::Model model_part(const ir::Model& model,
                     const std::vector<std::string>& inputs,
                     const std::vector<std::string>& outputs) {
  ir::Model part = ir::clone(model);
  ir::Graph& graph = *part.graph;
  for (const std::string& name : inputs) make_input(graph, name);
  const size_t given = graph.outputs().size();
  for (size_t i = 0; i < std::max(given, outputs.size()); ++i) {
    ir::Value* value = find(graph, outputs[i < outputs.size() ? i : 0]);
    if (i < given)
      graph.set_output(i, value);
    else
      graph.add_output(value);
  }
  drop_unused(graph);
  return part;
}

std::optional<int64_t> fixed_batch_size(const ir::Graph& graph) {
  std::optional<int64_t> batch;
  bool free = false;
  for (const ir::Value* input : graph.inputs()) {
    if (input->has_initializer() || !input->type.shape ||
        input->type.shape->empty())
      continue;
    const int64_t first = input->type.shape->front().value;
    free |= first < 1;
    if (first < 1) continue;
    if (batch && *batch != first) return 1;
    batch = first;
  }
  return free && batch ? 1 : batch;
}

}  // namespace lathe::exec
