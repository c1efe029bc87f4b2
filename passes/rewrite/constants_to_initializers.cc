// constants_to_initializers: one form for constants.
//
//   before: w = Constant() value=T     after: initializer w = T
//
// Conditions: any form of Constant but the sparse one; in the top-level graph
// and in subgraphs (functions have no initializers). An output of its graph
// stays a Constant, since it needs a node that computes it. Models before IR 4
// become IR 4, because the initializer is on no input list.
// Source: ONNX operator Constant; ONNX IR specification, "Initializers".
#include <algorithm>

#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

class ConstantsToInitializers final : public Pass {
 public:
  std::string name() const override { return "constants_to_initializers"; }

  PassResult run(ir::Model& model, PassContext&) override {
    PassResult result;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      for (ir::Node* node : graph.node_list())
        if (node->is("Constant") && node->output())
          convert(graph, *node, result);
    });
    if (result.changes > 0)
      model.ir_version = std::max<int64_t>(model.ir_version, 4);
    return result;
  }

 private:
  static void convert(ir::Graph& graph, ir::Node& node, PassResult& result) {
    ir::Value* value = node.output();
    if (value->is_graph_output()) {
      result.remarks.push_back(
          {node.id(), "its value is an output of the graph"});
      return;
    }
    auto tensor = constant_node_tensor(node);
    if (!tensor) {
      result.remarks.push_back(
          {node.id(), "its value is sparse, which no initializer here holds"});
      return;
    }
    graph.detach_node(&node);
    value->set_tensor(std::move(*tensor));
    ++result.changes;
  }
};

}  // namespace

std::unique_ptr<Pass> make_constants_to_initializers() {
  return std::make_unique<ConstantsToInitializers>();
}

}  // namespace lathe::rewrite
