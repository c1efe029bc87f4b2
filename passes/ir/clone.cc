#include <unordered_map>

#include "passes/ir/graph.h"

namespace lathe::ir {
namespace {

using ValueMap = std::unordered_map<const Value*, Value*>;

std::unique_ptr<Graph> clone_into(const Graph& from, ValueMap& map);

Attribute clone_attribute(const Attribute& from) {
  Attribute to;
  to.ref_name = from.ref_name;
  to.ref_type = from.ref_type;
  to.doc_string = from.doc_string;
  to.unknown_fields = from.unknown_fields;
  return to;
}

void clone_attribute_data(const Attribute& from, Attribute& to, ValueMap& map) {
  std::visit(
      [&](const auto& data) {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::is_same_v<T, std::unique_ptr<Graph>>) {
          to.data = clone_into(*data, map);
        } else if constexpr (std::is_same_v<
                                 T, std::vector<std::unique_ptr<Graph>>>) {
          std::vector<std::unique_ptr<Graph>> graphs;
          for (const auto& graph : data)
            graphs.push_back(clone_into(*graph, map));
          to.data = std::move(graphs);
        } else {
          to.data = data;
        }
      },
      from.data);
}

std::unique_ptr<Graph> clone_into(const Graph& from, ValueMap& map) {
  auto to = std::make_unique<Graph>();
  to->name = from.name;
  to->doc_string = from.doc_string;
  to->unknown_fields = from.unknown_fields;
  to->quantization_annotations = from.quantization_annotations;
  to->sparse_initializers = from.sparse_initializers;
  for (Value* input : from.inputs()) {
    Value* copy = to->add_input(input->name(), input->type);
    map[input] = copy;
  }
  for (Value* value : from.values()) {
    Value* copy =
        value->is_graph_input() ? map[value] : to->add_value(value->name());
    if (value->has_initializer()) copy->set_tensor(value->tensor());
    copy->type = value->type;
    copy->doc_string = value->doc_string;
    copy->unknown_fields = value->unknown_fields;
    map[value] = copy;
  }
  auto mapped = [&](Value* value) -> Value* {
    if (!value) return nullptr;
    auto it = map.find(value);
    return it == map.end() ? value : it->second;
  };
  for (const auto& node : from.nodes()) {
    std::vector<Value*> inputs, outputs;
    for (Value* value : node->inputs()) inputs.push_back(mapped(value));
    for (Value* value : node->outputs()) outputs.push_back(mapped(value));
    Node* copy =
        to->add_node(node->op_type, std::move(inputs), std::move(outputs));
    copy->name = node->name;
    copy->domain = node->domain;
    copy->overload = node->overload;
    copy->doc_string = node->doc_string;
    copy->unknown_fields = node->unknown_fields;
    for (const auto& [name, attribute] : node->attributes()) {
      Attribute cloned = clone_attribute(attribute);
      clone_attribute_data(attribute, cloned, map);
      copy->set_attribute(name, std::move(cloned));
    }
  }
  for (Value* output : from.outputs()) to->add_output(mapped(output));
  return to;
}

}  // namespace

std::unique_ptr<Graph> clone(const Graph& graph) {
  ValueMap map;
  return clone_into(graph, map);
}

Model clone(const Model& from) {
  Model to;
  to.ir_version = from.ir_version;
  to.producer_name = from.producer_name;
  to.producer_version = from.producer_version;
  to.domain = from.domain;
  to.doc_string = from.doc_string;
  to.model_version = from.model_version;
  to.opset_imports = from.opset_imports;
  to.metadata = from.metadata;
  to.training_info = from.training_info;
  to.unknown_fields = from.unknown_fields;
  to.graph = clone(*from.graph);
  for (const Function& function : from.functions) {
    Function copy;
    copy.domain = function.domain;
    copy.name = function.name;
    copy.overload = function.overload;
    copy.doc_string = function.doc_string;
    copy.unknown_fields = function.unknown_fields;
    copy.attributes = function.attributes;
    copy.opset_imports = function.opset_imports;
    ValueMap map;
    for (const auto& [name, attribute] : function.default_attributes) {
      Attribute cloned = clone_attribute(attribute);
      clone_attribute_data(attribute, cloned, map);
      copy.default_attributes.emplace_back(name, std::move(cloned));
    }
    copy.body = clone(*function.body);
    to.functions.push_back(std::move(copy));
  }
  return to;
}

}  // namespace lathe::ir
