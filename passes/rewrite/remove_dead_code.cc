// remove_dead_code: what no output needs.
//
//   before: y = Relu(x); z = Exp(x); initializer w; output y
//   after:  y = Relu(x); output y
//
// Conditions: a node goes when none of its outputs is used and it has no
// effect beside them: operators of ONNX itself, of ai.onnx.ml and of
// com.microsoft, and model-local functions made of such. A node of another
// domain may have effects and stays, with a remark. Initializers go when
// unused (not in a graph whose quantization annotations may name them); graph
// inputs always stay.
#include <algorithm>

#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

constexpr int kMaxFunctionDepth = 32;

bool is_pure(const ir::Model& model, const ir::Node& node, int depth) {
  if (depth > kMaxFunctionDepth) return false;
  auto all_pure = [&](const ir::Graph& graph) {
    return std::ranges::all_of(graph.nodes(), [&](const auto& inner) {
      return is_pure(model, *inner, depth + 1);
    });
  };
  for (const ir::Graph* sub : node.subgraphs())
    if (!all_pure(*sub)) return false;
  for (const ir::Function& function : model.functions)
    if (function.name == node.op_type && function.domain == node.domain &&
        function.overload == node.overload)
      return all_pure(*function.body);
  return node.domain.empty() || node.domain == "ai.onnx.ml" ||
         node.domain == "com.microsoft";
}

class RemoveDeadCode final : public Pass {
 public:
  std::string name() const override { return "remove_dead_code"; }

  PassResult run(ir::Model& model, PassContext&) override {
    PassResult result;
    clean(model, *model.graph, result);
    return result;
  }

 private:
  // Backwards, so that what a removed node or a cleaned subgraph used is seen
  // after it.
  static void clean(const ir::Model& model, ir::Graph& graph,
                    PassResult& result) {
    std::vector<ir::Node*> nodes = graph.node_list();
    std::ranges::reverse(nodes);
    for (ir::Node* node : nodes) {
      bool used = node->outputs().empty() ||
                  std::ranges::any_of(node->outputs(), [](ir::Value* output) {
                    return output && !output->unused();
                  });
      if (!used && is_pure(model, *node, 0)) {
        graph.remove_node(node);
        ++result.changes;
        continue;
      }
      if (!used)
        result.remarks.push_back(
            {node->id(), "nothing uses it, but " + node->op_type +
                             " of domain '" + node->domain +
                             "' may have effects of its own"});
      for (ir::Graph* sub : node->subgraphs()) clean(model, *sub, result);
    }
    for (ir::Value* value : graph.values()) {
      if (!value->unused() || value->producer() || value->is_graph_input())
        continue;
      if (value->has_initializer()) {
        if (!graph.quantization_annotations.empty()) continue;
        ++result.changes;
      }
      graph.remove_value(value);
    }
  }
};

}  // namespace

std::unique_ptr<Pass> make_remove_dead_code() {
  return std::make_unique<RemoveDeadCode>();
}

}  // namespace lathe::rewrite
