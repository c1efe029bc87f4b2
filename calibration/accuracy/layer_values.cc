#include "calibration/accuracy/layer_values.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace lathe::accuracy {
namespace {

using ir::DataType;
using ir::Node;
using ir::Value;

const ir::Tensor* constant_tensor(const Value* value) {
  if (!value) return nullptr;
  if (value->has_initializer()) return &value->tensor();
  const Node* producer = value->producer();
  return producer && producer->is("Constant") ? producer->attr_tensor("value")
                                              : nullptr;
}

// Those that code_range() knows.
bool is_code_type(DataType type) {
  return type == DataType::kUint8 || type == DataType::kInt8 ||
         type == DataType::kUint16 || type == DataType::kInt16 ||
         type == DataType::kUint4 || type == DataType::kInt4;
}

// From the node's inputs at `scale` and the one behind it.
std::optional<Quantizer> quantizer_at(const Node& node, size_t scale,
                                      DataType codes) {
  const ir::Tensor* scales = constant_tensor(node.input(scale));
  if (!scales || scales->size() != 1 || !is_comparable(scales->type()))
    return std::nullopt;
  Quantizer quantizer;
  quantizer.affine.scale = scales->to_floats()[0];
  if (!(quantizer.affine.scale > 0)) return std::nullopt;
  quantizer.type = codes;
  if (node.input(scale + 1)) {
    const ir::Tensor* zero = constant_tensor(node.input(scale + 1));
    if (!zero || zero->size() != 1 || !ir::is_integer(zero->type()))
      return std::nullopt;
    quantizer.type = zero->type();
    quantizer.affine.zero_point = static_cast<int32_t>(zero->to_int64s()[0]);
  }
  if (!is_code_type(quantizer.type)) return std::nullopt;
  return quantizer;
}

// Operators on codes, and which input is the scale of their result.
struct CodeOperator {
  std::string_view op_type;
  size_t scale;
};
constexpr CodeOperator kCodeOperators[] = {
    {"QuantizeLinear", 1},     {"QLinearConv", 6},
    {"QLinearMatMul", 6},      {"QLinearAdd", 6},
    {"QLinearMul", 6},         {"QLinearSigmoid", 3},
    {"QLinearLeakyRelu", 3},   {"QLinearSoftmax", 3},
    {"QLinearAveragePool", 3}, {"QLinearGlobalAveragePool", 3},
    {"QLinearConcat", 0},
};

// Of codes, from the node that computes them; data movement is followed.
std::optional<Quantizer> quantizer_of_codes(const Value* codes) {
  const DataType type = codes->type.elem;
  for (const Value* value = codes; value && value->producer();) {
    const Node& node = *value->producer();
    for (const CodeOperator& row : kCodeOperators)
      if (node.op_type == row.op_type)
        return quantizer_at(node, row.scale, type);
    value = node.input(0);
    if (value && value->type.elem != type) return std::nullopt;
  }
  return std::nullopt;
}

// In the value's own graph, not in a subgraph of it.
const Node* reader_of(const Value* value, std::string_view op_type) {
  for (const ir::Use& use : value->uses())
    if (use.index == 0 && use.node->op_type == op_type &&
        &use.node->graph() == &value->graph())
      return use.node;
  return nullptr;
}

Carrier behind(const Node& dequantize) {
  return {dequantize.output(), /*codes=*/false,
          quantizer_at(dequantize, 1, dequantize.input(0)->type.elem)};
}

}  // namespace

bool is_comparable(DataType type) {
  return type == DataType::kFloat || type == DataType::kDouble ||
         type == DataType::kFloat16 || type == DataType::kBfloat16;
}

bool is_transparent(const Node& node) {
  constexpr std::string_view kOperators[] = {
      "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear",
      "Cast",           "Identity",         "Dropout"};
  return std::find(std::begin(kOperators), std::end(kOperators),
                   node.op_type) != std::end(kOperators);
}

ValueIndex::ValueIndex(const ir::Graph& graph) {
  for (const Value* value : graph.values())
    if (value->has_initializer()) constants_.insert(value);
  for (const auto& node : graph.nodes()) {
    const bool constant =
        node->subgraphs().empty() &&
        std::all_of(node->inputs().begin(), node->inputs().end(),
                    [&](const Value* in) { return !in || is_constant(in); });
    if (constant)
      constants_.insert(node->outputs().begin(), node->outputs().end());
    if (constant || is_transparent(*node)) continue;
    for (size_t i : data_inputs(*node))
      readers_[root(node->input(i))].push_back({node.get(), i});
  }
}

std::vector<size_t> ValueIndex::data_inputs(const Node& node) const {
  std::vector<size_t> indices;
  for (size_t i = 0; i < node.inputs().size(); ++i)
    if (node.input(i) && !is_constant(node.input(i))) indices.push_back(i);
  return indices;
}

const Value* ValueIndex::root(const Value* value) const {
  while (value->producer() && is_transparent(*value->producer()) &&
         value->producer()->input(0))
    value = value->producer()->input(0);
  return value;
}

const std::vector<ir::Use>& ValueIndex::readers(const Value* root) const {
  static const std::vector<ir::Use> kNone;
  auto it = readers_.find(root);
  return it == readers_.end() ? kNone : it->second;
}

std::optional<Carrier> ValueIndex::carrier(const Value* value) const {
  const DataType type = value->type.elem;
  const bool real = is_comparable(type) ||
                    (type == DataType::kUndefined && value->type.is_tensor());
  if (!real && !is_code_type(type)) return std::nullopt;
  const Value* codes = value;
  if (real) {
    const Node* quantize = reader_of(value, "QuantizeLinear");
    if (!quantize || !quantize->output()) {
      const Node* producer = value->producer();
      if (producer && producer->op_type == "DequantizeLinear" &&
          producer->input(0))
        return behind(*producer);
      return Carrier{value, /*codes=*/false, std::nullopt};
    }
    codes = quantize->output();
  }
  const Node* dequantize = reader_of(codes, "DequantizeLinear");
  if (dequantize && dequantize->output()) return behind(*dequantize);
  std::optional<Quantizer> quantizer = quantizer_of_codes(codes);
  if (!quantizer) {
    if (real) return Carrier{value, /*codes=*/false, std::nullopt};
    return std::nullopt;
  }
  return Carrier{codes, /*codes=*/true, quantizer};
}

}  // namespace lathe::accuracy
