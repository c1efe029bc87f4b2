#include <algorithm>
#include <string_view>

#include "calibration/latency/kernel_rules_transpose.h"

namespace lathe::latency {
namespace {

bool is_op(const ir::Node* node, std::string_view op) {
  return node && node->op_type == op;
}

bool same_codes(const RuleGraph& rules, const ir::Node& a, const ir::Node& b) {
  for (size_t i = 1; i < 3; ++i) {
    auto x = rules.scalar(a.input(i)), y = rules.scalar(b.input(i));
    if (a.input(i) != b.input(i) && (!x || x != y)) return false;
  }
  return true;
}

void drop_empty_pair(RuleGraph& rules, ir::Node* quantize) {
  ir::Node* dequantize =
      RuleGraph::producer(quantize->input(0), "DequantizeLinear");
  if (!dequantize || RuleGraph::only_user(dequantize->output()) != quantize ||
      !same_codes(rules, *dequantize, *quantize) ||
      !RuleGraph::only_user(quantize->output()) ||
      dequantize->input(0)->type.elem != quantize->output()->type.elem)
    return;
  rules.graph().replace_all_uses(quantize->output(), dequantize->input(0));
}

void repair(RuleGraph& rules, ir::Node* transpose, ir::Node* next) {
  if (!transpose->input(0)) return;
  ir::Node* before = transpose->input(0)->producer();
  const auto& uses = transpose->output()->uses();
  if (is_op(before, "DequantizeLinear")) {
    if (uses.size() > 1 ||
        (uses.size() == 1 && is_op(uses[0].node, "QuantizeLinear")))
      return;
    ir::ValueType floats = transpose->output()->type, codes = floats;
    codes.elem = before->input(0)->type.elem;
    ir::Node* quantize = rules.insert("QuantizeLinear", "", {}, codes, next);
    ir::Node* dequantize = rules.insert(
        "DequantizeLinear", "",
        {quantize->output(), before->input(1), before->input(2)}, floats, next);
    rules.graph().replace_all_uses(transpose->output(), dequantize->output());
    quantize->set_input(0, transpose->output());
    quantize->set_input(1, before->input(1));
    quantize->set_input(2, before->input(2));
    return;
  }
  ir::Node* quantize = RuleGraph::only_user(transpose->output());
  if (!before || !is_op(quantize, "QuantizeLinear") ||
      transpose->input(0)->uses().size() != 1)
    return;
  ir::ValueType floats = transpose->input(0)->type, codes = floats;
  codes.elem = quantize->output()->type.elem;
  ir::Node* first = rules.insert(
      "QuantizeLinear", "",
      {transpose->input(0), quantize->input(1), quantize->input(2)}, codes,
      transpose);
  ir::Node* second =
      rules.insert("DequantizeLinear", "",
                   {first->output(), quantize->input(1), quantize->input(2)},
                   floats, transpose);
  transpose->set_input(0, second->output());
}

}  // namespace

void repair_quantized_transposes(RuleGraph& rules) {
  std::vector<ir::Node*> nodes = rules.graph().node_list();
  bool any = std::ranges::any_of(nodes, [](const ir::Node* node) {
    return is_op(node, "DequantizeLinear");
  });
  if (!any) return;
  for (size_t i = 0; i < nodes.size(); ++i) {
    ir::Node* node = nodes[i];
    if (node->op_type == "QuantizeLinear")
      drop_empty_pair(rules, node);
    else if (node->is("Transpose"))
      repair(rules, node, i + 1 < nodes.size() ? nodes[i + 1] : nullptr);
  }
  rules.remove_dead();
}

}  // namespace lathe::latency
