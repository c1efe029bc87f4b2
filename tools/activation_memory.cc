#include "tools/activation_memory.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

namespace lathe::cli {
namespace {

// The node of `graph` itself that `node` is or stands inside.
const ir::Node* node_in(const ir::Graph& graph, const ir::Node* node) {
  while (&node->graph() != &graph) node = node->graph().owner();
  return node;
}

}  // namespace

std::optional<uint64_t> peak_activation_bytes(const ir::Graph& graph) {
  std::unordered_map<const ir::Node*, size_t> order;
  for (const auto& node : graph.nodes())
    order.emplace(node.get(), order.size());
  // Bytes that start to be live at a node, and that end after it.
  std::vector<uint64_t> begins(order.size() + 1), ends(order.size() + 1);
  for (const ir::Value* value : graph.values()) {
    if (value->has_initializer()) continue;
    if (!value->producer() && !value->is_graph_input()) continue;
    const auto elements = value->type.element_count();
    if (!elements || !value->type.is_tensor()) return std::nullopt;
    const uint64_t bytes =
        ir::packed_bytes(value->type.elem, static_cast<uint64_t>(*elements));
    const size_t first = value->producer() ? order.at(value->producer()) : 0;
    size_t last = first;
    for (const ir::Use& use : value->uses())
      last = std::max(last, order.at(node_in(graph, use.node)));
    if (value->is_graph_output() && !order.empty()) last = order.size() - 1;
    begins[first] += bytes;
    ends[last] += bytes;
  }
  uint64_t live = 0, peak = 0;
  for (size_t i = 0; i < begins.size(); ++i) {
    live += begins[i];
    peak = std::max(peak, live);
    live -= ends[i];
  }
  return peak;
}

}  // namespace lathe::cli
