// Operators on codes, which have no gradient, get floats.
//
//   before   Q -> Pad(fill code) -> DQ
//   after    Q -> DQ -> Pad(DQ(fill code)) -> Q -> DQ
//
// All of them pick among the codes they are given, so the second Q finds what
// the first one made. What the operator gives keeps its name.
#include <array>
#include <map>

#include "passes/distill/twin_parts.h"
#include "passes/exec/quantization_pairs.h"
#include "passes/ir/op_table.h"

namespace lathe::distill {
namespace {

bool picks_elements(const ir::Node& node) {
  if (!node.domain.empty()) return false;
  for (const char* op : {"Clip", "Min", "Max", "MaxPool", "GlobalMaxPool",
                         "ReduceMax", "ReduceMin"})
    if (node.is(op)) return true;
  const ir::Operator* row = ir::find_operator(node);
  return row && row->op_class == ir::OpClass::kDataMovement;
}

class Dequantizer {
 public:
  explicit Dequantizer(ir::Graph& graph) : graph_(graph) {}

  void run() {
    const std::vector<ir::Node*> nodes = graph_.node_list();
    for (size_t i = 0; i < nodes.size(); ++i) {
      ir::Node& node = *nodes[i];
      if (is_quantize(node)) {
        if (node.input(1)->has_initializer() &&
            node.input(1)->tensor().size() == 1)
          quantizers_[node.output()] = &node;
      } else if (picks_elements(node) && !exec::is_only_undone(node)) {
        convert(node, i + 1 < nodes.size() ? nodes[i + 1] : nullptr);
      }
    }
  }

 private:
  void convert(ir::Node& node, ir::Node* next) {
    const ir::Node* quantize = nullptr;
    for (const ir::Value* input : node.inputs()) {
      const auto found = quantizers_.find(input);
      if (found == quantizers_.end()) continue;
      if (quantize && !same_parameters(*quantize, *found->second)) return;
      quantize = found->second;
    }
    if (!quantize) return;
    const ir::DataType codes = quantize->output()->type.elem;
    for (size_t i = 0; i < node.inputs().size(); ++i) {
      ir::Value* input = node.input(i);
      if (!input || input->type.elem != codes) continue;
      node.set_input(
          i, add("DequantizeLinear", input, *quantize, &node)->output());
    }
    for (ir::Value* output : node.outputs()) {
      if (!output || output->type.elem != codes) continue;
      output->type.elem = quantize->input(1)->type.elem;
      ir::Node* back = add("QuantizeLinear", output, *quantize, next);
      back->output()->type.elem = codes;
      graph_.replace_all_uses(output, back->output());
      back->set_input(0, output);
      quantizers_[back->output()] = back;
    }
  }

  static bool same_parameters(const ir::Node& a, const ir::Node& b) {
    return same_constant(a.input(1), b.input(1)) &&
           same_constant(a.input(2), b.input(2));
  }

  ir::Node* add(const char* op, ir::Value* input, const ir::Node& parameters,
                ir::Node* before) {
    std::vector<ir::Value*> inputs = parameters.inputs();
    inputs[0] = input;
    ir::Node* node = graph_.add_node(
        op, inputs, std::vector<std::string>{input->name() + "_" + op}, before);
    node->name = node->output()->name();
    node->domain = parameters.domain;
    if (parameters.has_attribute("axis"))
      node->set_attr("axis", parameters.attr_int("axis", 1));
    node->output()->type = input->type;
    node->output()->type.elem = parameters.input(1)->type.elem;
    return node;
  }

  ir::Graph& graph_;
  // Codes -> the node that made them, or whose parameters they have.
  std::map<const ir::Value*, const ir::Node*> quantizers_;
};

}  // namespace

void dequantize_operators(ir::Model& model) { Dequantizer(*model.graph).run(); }

}  // namespace lathe::distill
