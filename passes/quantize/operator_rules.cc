#include "passes/quantize/operator_rules.h"

#include <cmath>
#include <limits>

#include "passes/quantize/quantize.h"

namespace lathe::quantize {
namespace {

constexpr Range kUnit{0, 1};

const OperatorRule kRules[] = {
    {"Conv", Role::kCompute},
    {"Gemm", Role::kCompute},
    {"MatMul", Role::kCompute},
    {"Add", Role::kArithmetic, /*all_inputs=*/true},
    {"Mul", Role::kArithmetic, /*all_inputs=*/true},
    {"Concat", Role::kArithmetic, /*all_inputs=*/true},
    {"AveragePool", Role::kArithmetic},
    {"GlobalAveragePool", Role::kArithmetic},
    {"LeakyRelu", Role::kArithmetic},
    {"Sigmoid", Role::kArithmetic, false, /*needs_reader=*/true, kUnit},
    {"Softmax", Role::kArithmetic, false, /*needs_reader=*/true, kUnit},
    {"MaxPool", Role::kMovement, false, /*needs_reader=*/true},
    {"Reshape", Role::kMovement, false, /*needs_reader=*/true},
    {"Transpose", Role::kMovement, false, /*needs_reader=*/true},
    {"Flatten", Role::kMovement, false, /*needs_reader=*/true},
    {"Squeeze", Role::kMovement, false, /*needs_reader=*/true},
    {"Unsqueeze", Role::kMovement, false, /*needs_reader=*/true},
    {"Slice", Role::kMovement, false, /*needs_reader=*/true},
    {"Gather", Role::kMovement, false, /*needs_reader=*/true},
    {"Expand", Role::kMovement, false, /*needs_reader=*/true},
    {"Tile", Role::kMovement, false, /*needs_reader=*/true},
    {"Split", Role::kMovement, false, /*needs_reader=*/true},
    {"Resize", Role::kMovement, false, /*needs_reader=*/true},
    {"ReduceMax", Role::kMovement, false, /*needs_reader=*/true},
    {"ReduceMin", Role::kMovement, false, /*needs_reader=*/true},
    {"Pad", Role::kCodes, false, /*needs_reader=*/true},
    {"Relu", Role::kCodes, false, /*needs_reader=*/true},
    {"Clip", Role::kCodes, false, /*needs_reader=*/true},
};

// Input `i` as a number; `open` when absent; nullopt when not constant.
std::optional<float> constant_scalar(const ir::Node& node, size_t i,
                                     float open) {
  ir::Value* value = node.input(i);
  if (!value) return open;
  if (!value->is_constant() || value->tensor().size() != 1 ||
      !ir::is_floating(value->tensor().type()))
    return std::nullopt;
  return value->tensor().to_floats()[0];
}

}  // namespace

const OperatorRule* find_rule(const ir::Node& node) {
  for (const OperatorRule& rule : kRules)
    if (node.is(rule.name)) return &rule;
  return nullptr;
}

bool holds_codes(const ir::Model& model) {
  constexpr const char* kCoding[] = {"QuantizeLinear", "DequantizeLinear",
                                     "DynamicQuantizeLinear", "MatMulInteger",
                                     "ConvInteger"};
  for (const auto& node : model.graph->nodes()) {
    if (node->op_type == "MatMulNBits") return true;
    for (const char* op : kCoding)
      if (node->is(op)) return true;
  }
  return false;
}

std::vector<size_t> data_inputs(const ir::Node& node, Role role) {
  const OperatorRule* rule = find_rule(node);
  bool all = rule && (rule->all_inputs ||
                      (node.is("MatMul") && role == Role::kArithmetic));
  std::vector<size_t> indices;
  for (size_t i = 0; i < (all ? node.inputs().size() : 1); ++i)
    if (node.input(i)) indices.push_back(i);
  return indices;
}

std::optional<Range> clip_bounds(const ir::Node& node) {
  constexpr float kOpen = std::numeric_limits<float>::infinity();
  if (node.is("Relu")) return Range{0, kOpen};
  auto low = constant_scalar(node, 1, -kOpen);
  auto high = constant_scalar(node, 2, kOpen);
  if (!low || !high || std::isnan(*low) || std::isnan(*high) || *low >= *high)
    return std::nullopt;
  return Range{*low, *high};
}

}  // namespace lathe::quantize
