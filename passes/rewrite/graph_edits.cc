#include "passes/rewrite/graph_edits.h"

#include <type_traits>

namespace lathe::rewrite {

const ir::Tensor* constant_tensor(const ir::Value* value) {
  if (!value) return nullptr;
  if (value->is_constant()) return &value->tensor();
  const ir::Node* producer = value->producer();
  if (!producer || !producer->is("Constant")) return nullptr;
  const ir::Attribute* attribute = producer->attribute("value");
  return attribute ? attribute->get_if<ir::Tensor>() : nullptr;
}

std::optional<std::vector<int64_t>> constant_ints(const ir::Value* value) {
  const ir::Tensor* tensor = constant_tensor(value);
  if (!tensor) return std::nullopt;
  if (!ir::is_integer(tensor->type()) && tensor->type() != ir::DataType::kBool)
    return std::nullopt;
  return tensor->to_int64s();
}

std::optional<int64_t> constant_int(const ir::Value* value) {
  auto values = constant_ints(value);
  if (!values || values->size() != 1) return std::nullopt;
  return values->front();
}

std::optional<ir::Tensor> constant_node_tensor(const ir::Node& node) {
  for (const auto& [name, attribute] : node.attributes()) {
    if (!attribute.ref_name.empty()) return std::nullopt;
    if (auto* tensor = attribute.get_if<ir::Tensor>()) return *tensor;
    if (auto* value = attribute.get_if<int64_t>())
      return ir::Tensor::scalar<int64_t>(*value);
    if (auto* value = attribute.get_if<float>())
      return ir::Tensor::scalar<float>(*value);
    if (auto* value = attribute.get_if<std::string>())
      return ir::Tensor({}, std::vector<std::string>{*value});
    if (auto* values = attribute.get_if<std::vector<int64_t>>())
      return ir::Tensor::vector_i64(*values);
    if (auto* values = attribute.get_if<std::vector<float>>())
      return ir::Tensor::from<float>({static_cast<int64_t>(values->size())},
                                     *values);
    if (auto* values = attribute.get_if<std::vector<std::string>>())
      return ir::Tensor({static_cast<int64_t>(values->size())}, *values);
  }
  return std::nullopt;
}

ir::Node* channel_codes(const ir::Node& conv) {
  if (!conv.is("Conv") || !conv.input(1)) return nullptr;
  ir::Node* node = conv.input(1)->producer();
  if (!node || !node->is("DequantizeLinear") ||
      node->attr_int("block_size", 0) != 0 || node->attr_int("axis", 1) != 0)
    return nullptr;
  const ir::Tensor* codes = constant_tensor(node->input(0));
  const ir::Tensor* scale = constant_tensor(node->input(1));
  if (!codes || !scale || codes->rank() < 3 || scale->rank() != 1 ||
      codes->dims()[0] != scale->size())
    return nullptr;
  for (const ir::Value* value : {conv.input(1), node->input(0), node->input(1)})
    if (value->uses().size() != 1 || value->is_graph_output()) return nullptr;
  return node;
}

std::optional<int64_t> normalize_axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) return std::nullopt;
  return axis < 0 ? axis + rank : axis;
}

bool can_rename_output(const ir::Value& from, const ir::Value& to) {
  return &from.graph() == &to.graph() && to.producer() &&
         !to.is_graph_input() && !to.is_graph_output();
}

ir::Attribute copy_attribute(const ir::Attribute& from) {
  ir::Attribute to;
  to.ref_name = from.ref_name;
  to.ref_type = from.ref_type;
  to.doc_string = from.doc_string;
  to.unknown_fields = from.unknown_fields;
  std::visit(
      [&](const auto& data) {
        using T = std::decay_t<decltype(data)>;
        if constexpr (std::is_same_v<T, std::unique_ptr<ir::Graph>>) {
          to.data = ir::clone(*data);
        } else if constexpr (std::is_same_v<
                                 T, std::vector<std::unique_ptr<ir::Graph>>>) {
          std::vector<std::unique_ptr<ir::Graph>> graphs;
          for (const auto& graph : data) graphs.push_back(ir::clone(*graph));
          to.data = std::move(graphs);
        } else {
          to.data = data;
        }
      },
      from.data);
  return to;
}

}  // namespace lathe::rewrite
