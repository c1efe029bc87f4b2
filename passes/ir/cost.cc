// Work and parameters of nodes and models.
#include <algorithm>

#include "passes/ir/infer_context.h"
#include "passes/ir/op_helpers.h"
#include "passes/ir/op_table.h"

namespace lathe::ir {
namespace {

constexpr int kMaxCallDepth = 64;

int64_t bytes_of(const Value& value) {
  uint64_t bytes = packed_bytes(
      value.type.elem,
      static_cast<uint64_t>(std::max<int64_t>(elements(&value), 0)));
  return static_cast<int64_t>(
      std::min<uint64_t>(bytes, static_cast<uint64_t>(INT64_MAX)));
}

bool has_static_shapes(const std::vector<Value*>& values) {
  return std::ranges::all_of(values, [](const Value* value) {
    return !value ||
           (value->type.is_tensor() && value->type.element_count().has_value());
  });
}

std::optional<int64_t> graph_macs(const Model& model, const Graph& graph,
                                  int depth);

std::optional<int64_t> call_macs(const Model& model, const Node& node,
                                 const Function& function, int depth) {
  if (!function.body || depth >= kMaxCallDepth) return std::nullopt;
  // The call as a model of its own, with this call's shapes.
  Model call;
  call.opset_imports = function.opset_imports;
  call.graph = instantiate(function, node);
  InferSession session(model);
  if (!session.afford_copy(*call.graph)) return std::nullopt;
  session.infer(*call.graph, /*lenient=*/true);
  return graph_macs(model, *call.graph, depth + 1);
}

std::optional<int64_t> node_macs(const Model& model, const Node& node,
                                 int depth) {
  if (const Function* function = find_function(model, node))
    return call_macs(model, node, *function, depth);
  const Operator* op = find_operator(node);
  std::optional<int64_t> total = 0;
  if (op && node.is("If")) {
    // One branch runs: the costlier counts, unless it cannot be told.
    total.reset();
    for (const Graph* sub : node.subgraphs())
      if (auto inner = graph_macs(model, *sub, depth))
        total = std::max(total.value_or(0), *inner);
    return total;
  }
  for (const Graph* sub : node.subgraphs()) {
    auto inner = graph_macs(model, *sub, depth);
    if (!inner) return std::nullopt;
    total = plus(*total, *inner);
  }
  if (!op || (op->op_class != OpClass::kCompute &&
              op->op_class != OpClass::kRecurrent))
    return total;
  if (!op->cost) return std::nullopt;
  auto cost = node_cost(node);
  if (!cost) return std::nullopt;
  return plus(*total, cost->macs);
}

std::optional<int64_t> graph_macs(const Model& model, const Graph& graph,
                                  int depth) {
  int64_t total = 0;
  for (const auto& node : graph.nodes()) {
    auto macs = node_macs(model, *node, depth);
    if (!macs) return std::nullopt;
    total = plus(total, *macs);
  }
  return total;
}

// How a node reads one of its inputs.
enum class Reading { kPlain, kScale, kQuantizedWeight };

Reading reading_of(const Use& use) {
  const std::string& op = use.node->op_type;
  auto weight_at = [&](size_t weight, size_t bias,
                       std::initializer_list<size_t> plain) {
    if (use.index == weight || use.index == bias)
      return Reading::kQuantizedWeight;
    return std::ranges::find(plain, use.index) != plain.end() ? Reading::kPlain
                                                              : Reading::kScale;
  };
  constexpr size_t kNone = SIZE_MAX;
  if (op == "QuantizeLinear") return weight_at(kNone, kNone, {0});
  if (op == "DequantizeLinear") return weight_at(0, kNone, {});
  if (op == "QLinearConv") return weight_at(3, 8, {0});
  if (op == "QLinearMatMul") return weight_at(3, kNone, {0});
  if (op == "QGemm") return weight_at(3, 6, {0});
  if (op == "ConvInteger" || op == "MatMulInteger")
    return weight_at(1, kNone, {0});
  if (op == "MatMulIntegerToFloat") return weight_at(1, kNone, {0, 6});
  if (op == "DynamicQuantizeMatMul") return weight_at(1, kNone, {0, 4});
  if (op == "MatMulNBits") return weight_at(1, kNone, {0, 5});
  if (op == "QLinearAdd" || op == "QLinearMul") return weight_at(3, kNone, {0});
  return Reading::kPlain;
}

// 4-bit weights are packed two or more a byte; their number is in attributes.
int64_t weight_elements(const Value& value, int64_t stored) {
  for (const Use& use : value.uses())
    if (use.node->op_type == "MatMulNBits" && use.index == 1)
      return times(use.node->attr_int("N", 0), use.node->attr_int("K", 0));
  return stored;
}

int64_t parameters_of(const Value& value, DataType type, int64_t size,
                      size_t rank) {
  bool plain = value.uses().empty(), quantized = false;
  for (const Use& use : value.uses()) {
    Reading reading = reading_of(use);
    plain = plain || reading == Reading::kPlain;
    quantized = quantized || reading == Reading::kQuantizedWeight;
  }
  if (quantized && is_integer(type)) return weight_elements(value, size);
  if (is_floating(type) && rank >= 1 && (plain || quantized)) return size;
  return 0;
}

int64_t graph_parameters(const Graph& graph) {
  int64_t total = 0;
  for (const Value* value : graph.initializers()) {
    const Tensor& tensor = value->tensor();
    total = plus(total, parameters_of(*value, tensor.type(), tensor.size(),
                                      tensor.dims().size()));
  }
  for (const auto& node : graph.nodes()) {
    if (node->is("Constant") && node->output(0)) {
      const Attribute* attribute = node->attribute("value");
      const Tensor* tensor = attribute ? attribute->get_if<Tensor>() : nullptr;
      if (tensor)
        total =
            plus(total, parameters_of(*node->output(0), tensor->type(),
                                      tensor->size(), tensor->dims().size()));
      const Attribute* list = node->attribute("value_floats");
      if (const auto* floats =
              list ? list->get_if<std::vector<float>>() : nullptr)
        total =
            plus(total, parameters_of(*node->output(0), DataType::kFloat,
                                      static_cast<int64_t>(floats->size()), 1));
    }
    for (const Graph* sub : node->subgraphs())
      total = plus(total, graph_parameters(*sub));
  }
  return total;
}

}  // namespace

std::optional<Cost> node_cost(const Node& node) {
  if (!has_static_shapes(node.inputs()) || !has_static_shapes(node.outputs()))
    return std::nullopt;
  const Operator* op = find_operator(node);
  Cost cost = op && op->cost ? op->cost(node) : Cost();
  cost.bytes = 0;
  for (const Value* value : node.inputs())
    if (value) cost.bytes = plus(cost.bytes, bytes_of(*value));
  for (const Value* value : node.outputs())
    if (value) cost.bytes = plus(cost.bytes, bytes_of(*value));
  return cost;
}

std::optional<int64_t> total_macs(const Model& model) {
  return graph_macs(model, *model.graph, 0);
}

int64_t count_parameters(const Model& model) {
  int64_t total = graph_parameters(*model.graph);
  for (const Function& function : model.functions)
    if (function.body) total = plus(total, graph_parameters(*function.body));
  return total;
}

}  // namespace lathe::ir
