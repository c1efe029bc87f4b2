// Q/DQ groups as integer operators. Which groups: integer_kernel.h.
#include <algorithm>

#include "calibration/latency/integer_kernel.h"
#include "calibration/latency/kernel_rules.h"

namespace lathe::latency {
namespace {

bool is_dequantize(const ir::Node* node) {
  return node && node->op_type == "DequantizeLinear";
}
bool is_quantize(const ir::Node* node) {
  return node && node->op_type == "QuantizeLinear";
}

bool moves_data(const ir::Node& node) {
  for (const char* op :
       {"MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice"})
    if (node.is(op)) return true;
  return false;
}

ir::Node* producer_of(const ir::Value* value) {
  return value ? value->producer() : nullptr;
}

bool scalar_parameters(const RuleGraph& rules, const ir::Node& node) {
  for (size_t i = 1; i < 3; ++i) {
    const ir::Value* value = node.input(i);
    if (!value) return i == 2;
    if (!rules.constant(value) || value->type.element_count() != 1)
      return false;
  }
  return true;
}

// DQ -> Reshape becomes Reshape -> DQ, Reshape -> Q becomes Q -> Reshape:
// data moves as codes.
bool move_forward(RuleGraph& rules, ir::Node* node) {
  ir::Node* dequantize = producer_of(node->input(0));
  if (!is_dequantize(dequantize) || !scalar_parameters(rules, *dequantize) ||
      rules.constant(dequantize->input(0)))
    return false;
  const auto& uses = node->output()->uses();
  if (node->output()->is_graph_output() || uses.empty()) return false;
  for (const ir::Use& use : uses)
    if (is_quantize(use.node) || &use.node->graph() != &rules.graph())
      return false;
  ir::ValueType floats = node->output()->type, codes = floats;
  codes.elem = dequantize->input(0)->type.elem;
  ir::Node* moved = rules.insert(node->op_type, "", {}, codes, node);
  std::vector<ir::Value*> inputs = node->inputs();
  inputs[0] = dequantize->input(0);
  std::vector<ir::Value*> parameters = dequantize->inputs();
  parameters[0] = moved->output();
  rules.fuse(moved, {}, node->op_type, "", inputs, node);
  rules.inherit(moved, node);
  rules.fuse(node, {}, "DequantizeLinear", "", parameters);
  if (dequantize->output()->unused()) {
    rules.inherit(node, dequantize);
    rules.graph().remove_node(dequantize);
  }
  return true;
}

bool move_backward(RuleGraph& rules, ir::Node* node) {
  ir::Node* quantize = RuleGraph::only_user(node->output());
  if (!is_quantize(quantize) || quantize->input(0) != node->output() ||
      !scalar_parameters(rules, *quantize) ||
      is_dequantize(producer_of(node->input(0))) ||
      !producer_of(node->input(0)))
    return false;
  ir::ValueType codes = node->input(0)->type;
  codes.elem = quantize->output()->type.elem;
  std::vector<ir::Value*> parameters = quantize->inputs();
  parameters[0] = node->input(0);
  ir::Node* first = rules.insert("QuantizeLinear", "", parameters, codes, node);
  std::vector<ir::Value*> inputs = node->inputs();
  inputs[0] = first->output();
  rules.inherit(first, quantize);
  rules.fuse(quantize, {node}, node->op_type, "", inputs, node);
  return true;
}

void propagate(RuleGraph& rules) {
  bool moved = true;
  for (int round = 0; moved && round < 10; ++round) {
    moved = false;
    for (ir::Node* node : rules.graph().node_list())
      if (moves_data(*node) && RuleGraph::is_float(node->output()))
        moved = move_forward(rules, node) || moved;
    std::vector<ir::Node*> nodes = rules.graph().node_list();
    for (size_t i = nodes.size(); i-- > 0;)
      if (moves_data(*nodes[i]) && RuleGraph::is_float(nodes[i]->output()))
        moved = move_backward(rules, nodes[i]) || moved;
  }
}

// A Relu or Clip does nothing where the codes behind it end at its bounds.
bool saturates(const RuleGraph& rules, const ir::Node& node,
               const ir::Node& quantize) {
  std::optional<double> scale = rules.scalar(quantize.input(1));
  std::optional<double> zero = rules.scalar(quantize.input(2));
  if (!scale || !zero || !RuleGraph::is_8_bit(quantize.output())) return false;
  bool is_signed = quantize.output()->type.elem == ir::DataType::kInt8;
  double least = is_signed ? -128 : 0, most = is_signed ? 127 : 255;
  if (node.is("Relu")) return *zero == least;
  if (!node.is("Clip")) return false;
  // In the runtime's arithmetic: floats, and an absolute tolerance.
  constexpr double kTolerance = 2e-7;
  double low = static_cast<float>((least - *zero) * *scale) + kTolerance;
  double high = static_cast<float>((most - *zero) * *scale) - kTolerance;
  std::optional<double> min = node.input(1) ? rules.scalar(node.input(1))
                                            : std::optional<double>(-1e30);
  std::optional<double> max =
      node.input(2) ? rules.scalar(node.input(2)) : std::optional<double>(1e30);
  return min && max && *min <= low && *max >= high;
}

// The codes, scale and zero point behind a DequantizeLinear.
std::vector<ir::Value*> coded(const ir::Value* value) {
  ir::Node* node = producer_of(value);
  return {node->input(0), node->input(1), node->input(2)};
}

void append(std::vector<ir::Value*>& list,
            const std::vector<ir::Value*>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

struct Replacement {
  std::string op, domain;
  std::vector<ir::Value*> inputs;
};

Replacement integer_form(const ir::Node& node, const ir::Node* quantize) {
  Replacement form{"QLinear" + node.op_type, kMicrosoftDomain, {}};
  std::vector<ir::Value*> result;
  if (quantize) result = {quantize->input(1), quantize->input(2)};
  if (node.is("Conv")) {
    form.domain = "";
    form.inputs = coded(node.input(0));
    append(form.inputs, coded(node.input(1)));
    append(form.inputs, result);
    if (node.input(2)) form.inputs.push_back(coded(node.input(2))[0]);
  } else if (node.is("MatMul")) {
    std::vector<ir::Value*> a = coded(node.input(0)), b = coded(node.input(1));
    if (quantize) {
      form.domain = "";
      form.inputs = a;
      append(form.inputs, b);
      append(form.inputs, result);
    } else {
      form.op = "MatMulIntegerToFloat";
      form.inputs = {a[0], b[0], a[1], b[1], a[2], b[2]};
    }
  } else if (node.is("Gemm")) {
    form.op = "QGemm";
    form.inputs = coded(node.input(0));
    append(form.inputs, coded(node.input(1)));
    form.inputs.push_back(node.input(2) ? coded(node.input(2))[0] : nullptr);
    append(form.inputs, result);
  } else if (node.is("Concat")) {
    form.inputs = result;
    for (const ir::Value* input : node.inputs())
      append(form.inputs, coded(input));
  } else if (node.is("Where")) {
    form.inputs = {node.input(0)};
    append(form.inputs, coded(node.input(1)));
    append(form.inputs, coded(node.input(2)));
    append(form.inputs, result);
  } else {
    for (const ir::Value* input : node.inputs())
      if (is_dequantize(producer_of(input))) append(form.inputs, coded(input));
    append(form.inputs, result);
  }
  return form;
}

bool is_integer_movement(const ir::Node& node) {
  for (const char* op :
       {"Conv", "MatMul", "Gemm", "Add", "Mul", "Concat", "Where",
        "AveragePool", "GlobalAveragePool", "LeakyRelu", "Sigmoid", "Softmax"})
    if (node.is(op)) return false;
  return true;
}

// Signed codes become unsigned where nothing else reads them.
bool signed_and_shared(const ir::Node& node) {
  for (const ir::Value* input : node.inputs()) {
    const ir::Node* dequantize = producer_of(input);
    if (!is_dequantize(dequantize)) continue;
    const ir::Value* codes = dequantize->input(0);
    if (codes->type.elem == ir::DataType::kInt8 && codes->producer() &&
        codes->uses().size() > 1)
      return true;
  }
  return false;
}

void fuse_group(RuleGraph& rules, ir::Node* node, const IntegerKernel& group) {
  std::vector<ir::Node*> quantizers, between;
  for (const ir::Node* after : group.after) {
    ir::Node* mutable_node = after->output()->producer();
    (is_quantize(after) ? quantizers : between).push_back(mutable_node);
  }
  std::vector<ir::Node*> dequantizers;
  for (const ir::Node* before : group.dequantize)
    dequantizers.push_back(before->output()->producer());
  if (is_integer_movement(*node)) {
    std::vector<ir::Value*> inputs = node->inputs();
    for (ir::Value*& input : inputs)
      if (is_dequantize(producer_of(input)))
        input = producer_of(input)->input(0);
    ir::DataType codes = dequantizers[0]->input(0)->type.elem;
    rules.fuse(node, {}, node->op_type, node->domain, inputs, node);
    for (ir::Value* output : node->outputs())
      if (output) output->type.elem = codes;
    for (ir::Node* quantize : quantizers)
      rules.bypass(quantize, quantize->input(0), node);
  } else {
    Replacement form =
        integer_form(*node, quantizers.empty() ? nullptr : quantizers[0]);
    ir::Node* last = quantizers.empty() ? node : quantizers[0];
    std::vector<ir::Node*> absorbed = between;
    std::reverse(absorbed.begin(), absorbed.end());
    if (last != node) absorbed.push_back(node);
    rules.fuse(last, absorbed, form.op, form.domain, form.inputs, node);
    node = last;
  }
  for (ir::Node* dequantize : dequantizers) {
    if (!dequantize->output()->unused()) continue;
    rules.inherit(node, dequantize);
    rules.graph().remove_node(dequantize);
  }
}

// The runtime looks for a Q behind a Relu or Clip, and for none elsewhere.
bool clamped(const ir::Node& node) {
  const ir::Node* next = RuleGraph::only_user(node.output());
  return next && (next->is("Relu") || next->is("Clip")) &&
         RuleGraph::only_user(next->output());
}

// X -> Q -> DQ with the same parameters, and nothing integer in between.
void drop_lonely_pairs(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list()) {
    if (!is_dequantize(node)) continue;
    ir::Node* quantize = producer_of(node->input(0));
    if (!is_quantize(quantize) ||
        RuleGraph::only_user(quantize->output()) != node)
      continue;
    ir::Node* before = producer_of(quantize->input(0));
    // A pair behind a float operator stays: it rounds.
    if (!is_dequantize(before)) continue;
    rules.bypass(node, before->output());
    rules.bypass(quantize, quantize->input(0));
  }
}

}  // namespace

void drop_saturated_activations(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list()) {
    if (!node->is("Relu") && !node->is("Clip")) continue;
    ir::Node* quantize = RuleGraph::only_user(node->output());
    if (is_quantize(quantize) && saturates(rules, *node, *quantize))
      rules.bypass(node, node->input(0), quantize);
  }
}

void fuse_quantized(RuleGraph& rules) {
  propagate(rules);
  drop_lonely_pairs(rules);
  rules.remove_dead();
  rules.sort();
  for (bool changed = true; changed;) {
    changed = false;
    for (ir::Node* node : rules.graph().node_list()) {
      std::optional<IntegerKernel> group = integer_kernel(*node);
      if (!group || !std::ranges::all_of(group->after, is_quantize)) continue;
      if (group->after.empty() && clamped(*node)) continue;
      if (rules.traits().unsigned_activations && signed_and_shared(*node))
        continue;
      fuse_group(rules, node, *group);
      changed = true;
      break;
    }
  }
  rules.remove_dead();
}

}  // namespace lathe::latency
