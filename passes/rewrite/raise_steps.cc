#include "passes/rewrite/raise_steps.h"

#include "passes/base/error.h"

namespace lathe::rewrite {
namespace {

constexpr int kAttributeTypeInts = 7;  // AttributeProto.AttributeType.INTS

}  // namespace

ir::Value* RaiseStep::constant(const std::string& role, ir::Tensor tensor) {
  ir::Graph& graph = node.graph();
  std::string name = node.id() + "_" + role;
  if (!in_function) return graph.add_constant(name, std::move(tensor));
  ir::Node* made = graph.add_node("Constant", {}, {name}, &node);
  made->output()->type.elem = tensor.type();
  made->output()->type.shape = ir::to_shape(tensor.dims());
  made->set_attr("value", std::move(tensor));
  return made->output();
}

ir::Node* RaiseStep::insert(const std::string& op,
                            std::vector<ir::Value*> inputs,
                            const std::string& role) {
  std::string name = node.id() + "_" + role;
  ir::Node* made = node.graph().add_node(op, std::move(inputs), {name}, &node);
  made->name = name;
  return made;
}

void RaiseStep::ints_to_input(const std::string& attribute, size_t index) {
  const ir::Attribute* found = node.attribute(attribute);
  if (!found) return;
  if (!found->ref_name.empty() && found->ref_type == kAttributeTypeInts) {
    ir::Attribute reference;
    reference.ref_name = found->ref_name;
    reference.ref_type = found->ref_type;
    ir::Node* made = insert("Constant", {}, attribute);
    made->set_attribute("value_ints", std::move(reference));
    node.set_input(index, made->output());
  } else {
    require_own(attribute);
    node.set_input(
        index,
        constant(attribute, ir::Tensor::vector_i64(node.attr_ints(attribute))));
  }
  node.remove_attribute(attribute);
}

ir::Value* RaiseStep::scalar_like(const std::string& role, double value,
                                  ir::Value* like) {
  ir::DataType type = like ? like->type.elem : ir::DataType::kUndefined;
  if (ir::is_floating(type) || ir::is_integer(type))
    return constant(role, ir::Tensor::from_doubles(type, {}, {&value, 1}));
  ir::Value* plain =
      constant(role, ir::Tensor::scalar<float>(static_cast<float>(value)));
  return insert("CastLike", {plain, like}, role + "_cast")->output();
}

void RaiseStep::require_own(const std::string& attribute) const {
  const ir::Attribute* found = node.attribute(attribute);
  if (found && !found->ref_name.empty())
    fail("attribute '" + attribute + "' is given by the function around it");
}

void RaiseStep::remark(std::string reason) {
  result_.remarks.push_back({node.id(), std::move(reason)});
}

void RaiseStep::fail(const std::string& what) const {
  throw_unsupported(node.label(),
                    "cannot be raised from opset " + std::to_string(from) +
                        " to " + std::to_string(to) + ": " + what,
                    "export the model again with opset 17 or newer");
}

}  // namespace lathe::rewrite
