#include <algorithm>
#include <unordered_set>

#include "passes/base/error.h"
#include "passes/ir/graph.h"

namespace lathe::ir {
namespace {

void verify_in(const Graph& graph, const std::string& where,
               std::unordered_set<const Value*> defined) {
  auto fail = [&](const std::string& what) { throw_internal(where, what); };
  std::unordered_set<std::string> names;
  for (Value* value : graph.values()) {
    if (!names.insert(value->name()).second)
      fail("two values are named '" + value->name() + "'");
    if (&value->graph() != &graph)
      fail("value '" + value->name() + "' belongs to another graph");
    if (value->is_graph_input() || value->has_initializer())
      defined.insert(value);
    for (const Use& use : value->uses())
      if (use.node->input(use.index) != value)
        fail("a use of '" + value->name() + "' is stale");
  }
  for (const auto& node : graph.nodes()) {
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      Value* value = node->inputs()[i];
      if (!value) continue;
      if (std::ranges::find(value->uses(), Use{node.get(), i}) ==
          value->uses().end())
        fail(node->label() + " is missing in the uses of '" + value->name() +
             "'");
      if (!defined.contains(value))
        fail(node->label() + " uses '" + value->name() +
             "' before it is defined");
    }
    for (Graph* sub : node->subgraphs()) {
      if (sub->owner() != node.get())
        fail("a subgraph of " + node->label() + " has another owner");
      verify_in(*sub, where, defined);
    }
    for (size_t i = 0; i < node->outputs().size(); ++i) {
      Value* value = node->outputs()[i];
      if (!value) continue;
      if (value->producer() != node.get() || value->producer_index() != i)
        fail("output '" + value->name() + "' of " + node->label() +
             " has another producer");
      if (!defined.insert(value).second)
        fail("value '" + value->name() + "' is defined twice");
    }
  }
  for (Value* value : graph.outputs())
    if (!defined.contains(value))
      fail("output '" + value->name() + "' is not defined");
}

}  // namespace

void verify(const Graph& graph, const std::string& where) {
  verify_in(graph, where, {});
}

}  // namespace lathe::ir
