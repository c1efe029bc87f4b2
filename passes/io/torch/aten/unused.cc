#include "passes/io/torch/aten/unused.h"

#include <algorithm>
#include <set>
#include <vector>

namespace lathe::io::aten {
namespace {

// All outputs of these but the first may be left out.
bool may_shrink(const ir::Node& node) {
  static const std::set<std::string> kTypes{"MaxPool", "LayerNormalization",
                                            "Dropout"};
  return node.domain.empty() && kTypes.contains(node.op_type);
}

void remove_nodes(ir::Graph& graph) {
  const std::vector<ir::Node*> nodes = graph.node_list();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    ir::Node* node = *it;
    const auto unused = [](const ir::Value* output) {
      return !output || output->unused();
    };
    if (std::ranges::all_of(node->outputs(), unused)) {
      graph.remove_node(node);
      continue;
    }
    size_t count = node->outputs().size();
    while (may_shrink(*node) && count > 1 && unused(node->output(count - 1)))
      --count;
    node->resize_outputs(count);
    for (ir::Graph* sub : node->subgraphs()) remove_nodes(*sub);
  }
}

}  // namespace

void remove_unused(ir::Graph& graph) {
  remove_nodes(graph);
  ir::for_each_graph(graph, [](ir::Graph& each) {
    for (ir::Value* value : each.initializers())
      if (value->unused() && !value->is_graph_input()) each.remove_value(value);
  });
}

}  // namespace lathe::io::aten
