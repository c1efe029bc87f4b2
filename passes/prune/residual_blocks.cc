// before: %y = Add(%f, %x), %f = Conv(Relu(Conv(%x)))
// after:  %x in the place of %y
#include "passes/prune/residual_blocks.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/ir/op_table.h"
#include "passes/ir/shape_inference.h"
#include "passes/prune/prune.h"

namespace lathe::prune {
namespace {

bool same_shape(const ir::Value& a, const ir::Value& b) {
  if (!a.type.shape || !b.type.shape) return false;
  return std::ranges::equal(
      *a.type.shape, *b.type.shape,
      [](const ir::Dim& x, const ir::Dim& y) { return x.same_as(y); });
}

bool has_weight(const ir::Node& node) {
  const ir::Operator* op = ir::find_operator(node);
  return op && op->op_class == ir::OpClass::kCompute &&
         std::ranges::any_of(node.inputs(), [](const ir::Value* value) {
           return value && value->is_constant();
         });
}

// What computes the sum's input and nothing else; in reverse order.
std::vector<const ir::Node*> exclusive_nodes(const ir::Node& sum,
                                             size_t branch) {
  std::vector<const ir::Node*> nodes;
  std::unordered_set<const ir::Node*> inside;
  std::vector<const ir::Node*> waiting{sum.input(branch)->producer()};
  const auto only_inside = [&](const ir::Node& node) {
    return std::ranges::all_of(node.outputs(), [&](const ir::Value* output) {
      return !output ||
             (!output->is_graph_output() &&
              std::ranges::all_of(output->uses(), [&](const ir::Use& use) {
                return inside.contains(use.node) ||
                       (use.node == &sum && use.index == branch);
              }));
    });
  };
  while (!waiting.empty()) {
    const ir::Node* node = waiting.back();
    waiting.pop_back();
    if (!node || inside.contains(node) || !only_inside(*node) ||
        &node->graph() != &sum.graph())
      continue;
    inside.insert(node);
    nodes.push_back(node);
    // A node is looked at again whenever one more of its users is inside.
    for (const ir::Value* input : node->inputs())
      if (input && input->producer()) waiting.push_back(input->producer());
  }
  return nodes;
}

std::optional<ResidualBlock> block_at(const ir::Node& sum, size_t branch) {
  const ir::Value *inner = sum.input(branch), *around = sum.input(1 - branch);
  if (inner == around || !inner->producer() || inner->has_initializer() ||
      around->has_initializer() || !same_shape(*around, *sum.output()) ||
      !same_shape(*inner, *sum.output()))
    return std::nullopt;
  const std::vector<const ir::Node*> nodes = exclusive_nodes(sum, branch);
  const auto reads_around = [&](const ir::Node* node) {
    return std::ranges::find(node->inputs(), around) != node->inputs().end();
  };
  if (std::ranges::none_of(nodes, reads_around) ||
      std::ranges::none_of(
          nodes, [](const ir::Node* node) { return has_weight(*node); }))
    return std::nullopt;
  ResidualBlock block{sum.output()->name(), branch, {}};
  for (const ir::Node* node : nodes)
    if (node->output()) block.results.push_back(node->output()->name());
  return block;
}

std::vector<ResidualBlock> blocks_of(const ir::Graph& graph) {
  std::vector<ResidualBlock> blocks;
  for (const auto& node : graph.nodes()) {
    if (!node->is("Add")) continue;
    for (const size_t branch : {size_t{0}, size_t{1}})
      if (auto block = block_at(*node, branch))
        blocks.push_back(std::move(*block));
  }
  return blocks;
}

bool lacks_shapes(const ir::Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [](const auto& node) {
    return node->is("Add") && !node->output()->type.shape;
  });
}

}  // namespace

std::vector<ResidualBlock> find_residual_blocks(const ir::Model& model) {
  if (lacks_shapes(*model.graph)) {
    ir::Model shaped = ir::clone(model);
    ir::bind_input_shapes(shaped, ir::default_input_shapes(shaped));
    ir::infer_shapes(shaped);
    return blocks_of(*shaped.graph);
  }
  return blocks_of(*model.graph);
}

void remove_blocks(ir::Model& model, const std::vector<std::string>& names) {
  if (names.empty()) return;
  ir::Graph& graph = *model.graph;
  const std::vector<ResidualBlock> blocks = find_residual_blocks(model);
  std::vector<std::string> known;
  for (const ResidualBlock& block : blocks) known.push_back(block.name);
  for (const std::string& name : names) {
    const auto found = std::ranges::find(blocks, name, &ResidualBlock::name);
    if (found == blocks.end())
      throw Error(
          ErrorKind::kUsage, "block '" + name + "'",
          "the model has no such residual block" + did_you_mean(name, known),
          "'lathe inspect --groups' lists them");
    ir::Value* sum = graph.find(name);
    // Gone with a block around it.
    if (!sum) continue;
    ir::Node* node = sum->producer();
    graph.replace_all_uses(sum, node->input(1 - found->branch));
    graph.remove_node(node);
    const std::unordered_set<std::string> results(found->results.begin(),
                                                  found->results.end());
    std::vector<ir::Node*> nodes = graph.node_list();
    for (size_t i = nodes.size(); i-- > 0;)
      if (nodes[i]->output() && results.contains(nodes[i]->output()->name()))
        graph.remove_node(nodes[i]);
  }
  for (ir::Value* value : graph.initializers())
    if (value->unused() && !value->is_graph_input()) graph.remove_value(value);
}

}  // namespace lathe::prune
