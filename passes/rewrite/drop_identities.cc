// drop_identities: nodes that give their input back.
//
//   before: y = Identity(x); z = Relu(y)     after: z = Relu(x)
//
// Which nodes these are stands in no_op.cc. A node that gives a graph output
// its name stays as an Identity where its input cannot take that name: where
// the input is a graph input, a constant, an output itself, or comes from the
// graph around.
#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/no_op.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

class DropIdentities final : public Pass {
 public:
  std::string name() const override { return "drop_identities"; }

  PassResult run(ir::Model& model, PassContext&) override {
    PassResult result;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      for (ir::Node* node : graph.node_list()) {
        if (!node->domain.empty() || model.has_function(*node)) continue;
        NoOp found = find_no_op(*node);
        if (!found.reason.empty())
          result.remarks.push_back({node->id(), found.reason});
        if (found.same_as) drop(*node, found.same_as, result);
      }
    });
    return result;
  }

 private:
  static void drop(ir::Node& node, ir::Value* same_as, PassResult& result) {
    ir::Value* output = node.output();
    if (output->is_graph_output() && !can_rename_output(*output, *same_as)) {
      if (node.is("Identity")) return;
      become_identity(node, same_as);
    } else {
      node.graph().replace_all_uses(output, same_as);
      node.graph().remove_node(&node);
    }
    ++result.changes;
  }

  static void become_identity(ir::Node& node, ir::Value* same_as) {
    node.op_type = "Identity";
    while (!node.attributes().empty())
      node.remove_attribute(std::string(node.attributes().front().first));
    node.resize_inputs(1);
    node.set_input(0, same_as);
    node.resize_outputs(1);
  }
};

}  // namespace

std::unique_ptr<Pass> make_drop_identities() {
  return std::make_unique<DropIdentities>();
}

}  // namespace lathe::rewrite
