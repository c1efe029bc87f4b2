#include "passes/rewrite/inline_if.h"

#include <unordered_map>

#include "passes/rewrite/graph_edits.h"

namespace lathe::rewrite {
namespace {

using ValueMap = std::unordered_map<ir::Value*, ir::Value*>;

ir::Value* lookup(const ValueMap& map, ir::Value* value) {
  auto it = map.find(value);
  return it == map.end() ? value : it->second;
}

// A copy of a branch's value in the graph around it, under the same name where
// that is free there.
ir::Value* hoist(ir::Graph& outer, ir::Graph& branch, ir::Value* value) {
  std::string name = value->name();
  branch.rename(value, outer.unique_name(name + "_inlined"));
  ir::Value* copy = outer.add_value(outer.unique_name(name));
  if (value->has_initializer()) copy->set_tensor(value->tensor());
  copy->type = value->type;
  copy->doc_string = value->doc_string;
  copy->unknown_fields = value->unknown_fields;
  return copy;
}

void hoist_node(ir::Graph& outer, const ir::Node& from, const ValueMap& map,
                ir::Node* before) {
  std::vector<ir::Value*> inputs, outputs;
  for (ir::Value* value : from.inputs())
    inputs.push_back(value ? lookup(map, value) : nullptr);
  for (ir::Value* value : from.outputs())
    outputs.push_back(value ? lookup(map, value) : nullptr);
  ir::Node* copy = outer.add_node(from.op_type, std::move(inputs),
                                  std::move(outputs), before);
  copy->name = from.name;
  copy->domain = from.domain;
  copy->overload = from.overload;
  copy->doc_string = from.doc_string;
  copy->unknown_fields = from.unknown_fields;
  for (const auto& [name, attribute] : from.attributes())
    copy->set_attribute(name, copy_attribute(attribute));
  // The copied subgraphs still use the branch's values.
  for (ir::Graph* sub : copy->subgraphs())
    ir::for_each_graph(*sub, [&](ir::Graph& inner) {
      for (ir::Node* user : inner.node_list())
        for (size_t i = 0; i < user->inputs().size(); ++i)
          if (ir::Value* value = user->input(i))
            if (ir::Value* now = lookup(map, value); now != value)
              user->set_input(i, now);
      for (size_t i = 0; i < inner.outputs().size(); ++i)
        if (ir::Value* now = lookup(map, inner.outputs()[i]);
            now != inner.outputs()[i])
          inner.set_output(i, now);
    });
}

}  // namespace

std::string inline_if(ir::Node& node) {
  auto condition = constant_int(node.input(0));
  ir::Graph* branch =
      condition ? node.attr_graph(*condition ? "then_branch" : "else_branch")
                : nullptr;
  if (!branch) return "its condition or branch is missing";
  if (!branch->sparse_initializers.empty() ||
      !branch->quantization_annotations.empty())
    return "its branch holds sparse initializers or quantization annotations";
  if (branch->outputs().size() < node.outputs().size() ||
      !branch->inputs().empty())
    return "its branch and its outputs differ in number";

  ir::Graph& outer = node.graph();
  ValueMap map;
  for (ir::Value* value : branch->values())
    map[value] = hoist(outer, *branch, value);
  for (const auto& inner : branch->nodes())
    hoist_node(outer, *inner, map, &node);
  for (size_t i = 0; i < node.outputs().size(); ++i)
    if (ir::Value* output = node.output(i))
      outer.replace_all_uses(output, lookup(map, branch->outputs()[i]));
  outer.remove_node(&node);
  return "";
}

}  // namespace lathe::rewrite
