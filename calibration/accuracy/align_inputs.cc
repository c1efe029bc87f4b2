#include "calibration/accuracy/align_inputs.h"

#include <algorithm>
#include <string>

#include "calibration/accuracy/layer_values.h"

namespace lathe::accuracy {
namespace {

using latency::TensorInfo;

std::vector<ir::Value*> fed_inputs(const ir::Model& model) {
  std::vector<ir::Value*> inputs;
  for (ir::Value* input : model.graph->inputs())
    if (!input->has_initializer()) inputs.push_back(input);
  return inputs;
}

const TensorInfo* find(const std::vector<TensorInfo>& inputs,
                       const std::string& name) {
  for (const TensorInfo& input : inputs)
    if (input.name == name) return &input;
  return nullptr;
}

bool is_retyped(const ir::Value& input, const TensorInfo& asked) {
  return input.type.elem != asked.type.elem && is_comparable(input.type.elem) &&
         is_comparable(asked.type.elem);
}

// What is to be done to a model, and for which inputs.
struct Changes {
  bool rename = false;
  std::vector<size_t> retyped;           // of the model's inputs
  std::vector<const TensorInfo*> added;  // of those asked for
};

Changes find_changes(const std::vector<ir::Value*>& ours,
                     const std::vector<TensorInfo>& asked) {
  const auto is_asked = [&](const ir::Value* input) {
    return find(asked, input->name()) != nullptr;
  };
  Changes changes;
  changes.rename = ours.size() == asked.size() &&
                   std::none_of(ours.begin(), ours.end(), is_asked);
  for (size_t i = 0; i < ours.size(); ++i) {
    const TensorInfo* same =
        changes.rename ? &asked[i] : find(asked, ours[i]->name());
    if (same && is_retyped(*ours[i], *same)) changes.retyped.push_back(i);
  }
  if (!changes.rename && std::all_of(ours.begin(), ours.end(), is_asked))
    for (const TensorInfo& input : asked)
      if (std::none_of(ours.begin(), ours.end(), [&](const ir::Value* one) {
            return one->name() == input.name;
          }))
        changes.added.push_back(&input);
  return changes;
}

void free_name(ir::Graph& graph, const std::string& name) {
  if (ir::Value* taken = graph.find(name))
    graph.rename(taken, graph.unique_name(name + "_inner"));
}

// Puts a Cast behind the input, so that it takes `type` under its old name.
void retype_input(ir::Graph& graph, ir::Value* input, ir::DataType type) {
  const std::string name = input->name();
  const ir::DataType inner = input->type.elem;
  std::vector<ir::Use> uses = input->uses();
  ir::Node* first = graph.nodes().empty() ? nullptr : graph.node_list()[0];
  ir::Node* cast = graph.add_node(
      "Cast", {input}, std::vector<std::string>{name + "_Cast"}, first);
  cast->set_attr("to", static_cast<int64_t>(inner));
  cast->output()->type = input->type;
  for (const ir::Use& use : uses)
    use.node->set_input(use.index, cast->output());
  input->type.elem = type;
}

}  // namespace

std::optional<ir::Model> align_inputs(const std::vector<TensorInfo>& inputs,
                                      const ir::Model& model) {
  const Changes changes = find_changes(fed_inputs(model), inputs);
  if (!changes.rename && changes.retyped.empty() && changes.added.empty())
    return std::nullopt;
  ir::Model aligned = ir::clone(model);
  ir::Graph& graph = *aligned.graph;
  const std::vector<ir::Value*> ours = fed_inputs(aligned);
  if (changes.rename)
    for (size_t i = 0; i < ours.size(); ++i) {
      free_name(graph, inputs[i].name);
      graph.rename(ours[i], inputs[i].name);
    }
  for (const size_t i : changes.retyped)
    retype_input(graph, ours[i], find(inputs, ours[i]->name())->type.elem);
  for (const TensorInfo* added : changes.added) {
    free_name(graph, added->name);
    // Without a shape: no reader asks, and the runtime may not know it.
    ir::ValueType type;
    type.elem = added->type.elem;
    graph.add_input(added->name, type);
  }
  return aligned;
}

std::optional<ir::Model> align_inputs(const ir::Model& reference,
                                      const ir::Model& model) {
  std::vector<TensorInfo> inputs;
  for (const ir::Value* input : fed_inputs(reference))
    inputs.push_back({input->name(), input->type});
  return align_inputs(inputs, model);
}

}  // namespace lathe::accuracy
