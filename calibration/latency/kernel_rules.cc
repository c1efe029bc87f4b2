#include "calibration/latency/kernel_rules.h"

#include <algorithm>
#include <utility>

#include "calibration/latency/kernel_describe.h"
#include "calibration/latency/kernel_source_origins.h"
#include "passes/base/error.h"
#include "passes/ir/op_table.h"

namespace lathe::latency {
namespace {

ir::Tensor no_bytes() { return ir::Tensor::zeros(ir::DataType::kFloat, {0}); }

// Shape inference has seen the graph, but its caller may have changed it.
void require_inputs(const ir::Node& node) {
  const ir::Operator* op = ir::find_operator(node);
  if (!op) return;
  for (int i = 0; i < op->min_inputs; ++i)
    if (!node.input(static_cast<size_t>(i)))
      throw_input(node.label(), "input " + std::to_string(i) + " is missing");
  if (op->min_outputs > 0 && !node.output())
    throw_input(node.label(), "its output is missing");
}

bool is_unused(const ir::Node& node) {
  return std::ranges::all_of(node.outputs(), [](const ir::Value* value) {
    return !value || value->unused();
  });
}

// Graphs are not among the attributes of what is fused.
void copy_attribute(ir::Node& node, const std::string& name,
                    const ir::Attribute& attribute) {
  auto copy = [&](const auto* value) {
    if (value) node.set_attr(name, *value);
  };
  copy(attribute.get_if<float>());
  copy(attribute.get_if<int64_t>());
  copy(attribute.get_if<std::string>());
  copy(attribute.get_if<std::vector<int64_t>>());
  copy(attribute.get_if<std::vector<float>>());
  copy(attribute.get_if<std::vector<std::string>>());
  copy(attribute.get_if<ir::Tensor>());
}

void rewrite(RuleGraph& rules) {
  // Level 1: twice, since merged Reshapes let more Transposes through.
  if (rules.traits().architecture == "x86-64") widen_halves(rules);
  fold_and_simplify(rules);
  fold_into_convs(rules);
  fuse_products(rules);
  for (int round = 0; round < 2; ++round) {
    merge_reshapes(rules);
    push_transposes(rules, 1);
  }
  // Level 2.
  push_transposes(rules, 2);
  drop_saturated_activations(rules);
  fuse_quantized(rules);
  fuse_activations(rules);
  fuse_gelus(rules);
  fuse_normalizations(rules);
  fuse_spared_products(rules);
  fuse_skips(rules);
  split_slices(rules);
  fuse_product_scales(rules);
  // Level 3.
  if (rules.traits().nchwc_block > 0) block_channels(rules);
  expand_functions(rules);
  interleave_channels(rules);
  fuse_plain_adds(rules);
  rules.remove_dead();
  rules.sort();
}

}  // namespace

RuleGraph::RuleGraph(const ir::Model& original, const RuntimeTraits& traits)
    : model_(ir::clone(original)), traits_(traits) {
  auto from = original.graph->nodes().begin();
  for (const auto& node : graph().nodes())
    origins_[node.get()] = {(from++)->get()};
  for (const auto& node : graph().nodes()) {
    require_inputs(*node);
    if (is_unused(*node)) idle_.insert(node->id());
  }
  fix_old_initializers(model_);
}

bool RuleGraph::constant(const ir::Value* value) const {
  return is_constant_value(value);
}

std::optional<double> RuleGraph::scalar(const ir::Value* value) const {
  if (!value || !value->is_constant()) return std::nullopt;
  const ir::Tensor& tensor = value->tensor();
  if (tensor.size() != 1 ||
      !(ir::is_floating(tensor.type()) || ir::is_integer(tensor.type())))
    return std::nullopt;
  return tensor.to_doubles()[0];
}

std::optional<std::vector<int64_t>> RuleGraph::integers(
    const ir::Value* value) const {
  if (!value || !value->is_constant() || !ir::is_integer(value->type.elem) ||
      value->type.element_count() != value->tensor().size())
    return std::nullopt;
  return value->tensor().to_int64s();
}

ir::Node* RuleGraph::only_user(const ir::Value* value) {
  if (!value || value->is_graph_output() || value->uses().size() != 1)
    return nullptr;
  ir::Node* node = value->uses()[0].node;
  return &node->graph() == &value->graph() ? node : nullptr;
}

ir::Node* RuleGraph::producer(const ir::Value* value, std::string_view op) {
  ir::Node* node = value ? value->producer() : nullptr;
  return node && node->op_type == op ? node : nullptr;
}

std::optional<std::vector<int64_t>> RuleGraph::dims(const ir::Value* value) {
  return dims_of(value);
}

bool RuleGraph::is_float(const ir::Value* value) {
  return value && value->type.elem == ir::DataType::kFloat;
}

bool RuleGraph::is_8_bit(const ir::Value* value) {
  return value && (value->type.elem == ir::DataType::kUint8 ||
                   value->type.elem == ir::DataType::kInt8);
}

ir::Value* RuleGraph::other_input(const ir::Node& node,
                                  const ir::Value* value) {
  if (node.inputs().size() != 2) return nullptr;
  return node.input(node.input(0) == value ? 1 : 0);
}

void RuleGraph::inherit(ir::Node* heir, const ir::Node* from) {
  auto found = origins_.find(from);
  if (found == origins_.end()) return;
  std::vector<const ir::Node*> nodes = std::move(found->second);
  origins_.erase(found);
  auto& mine = origins_[heir];
  mine.insert(mine.end(), nodes.begin(), nodes.end());
}

void RuleGraph::fuse(ir::Node* last, const std::vector<ir::Node*>& absorbed,
                     const std::string& op, const std::string& domain,
                     std::vector<ir::Value*> inputs,
                     const ir::Node* attributes_of) {
  if (attributes_of != last) {
    std::vector<std::string> names;
    for (const auto& [name, attribute] : last->attributes())
      names.push_back(name);
    for (const std::string& name : names) last->remove_attribute(name);
    if (attributes_of)
      for (const auto& [name, attribute] : attributes_of->attributes())
        copy_attribute(*last, name, attribute);
  }
  last->op_type = op;
  last->domain = domain;
  last->resize_inputs(0);
  for (size_t i = 0; i < inputs.size(); ++i) last->set_input(i, inputs[i]);
  for (ir::Node* node : absorbed) {
    inherit(last, node);
    if (is_unused(*node) && node != last) graph().remove_node(node);
  }
}

void RuleGraph::bypass(ir::Node* node, ir::Value* to, ir::Node* heir) {
  ir::Value* from = node->output();
  if (heir) inherit(heir, node);
  graph().replace_all_uses(from, to);
  if (is_unused(*node)) graph().remove_node(node);
}

ir::Node* RuleGraph::insert(const std::string& op, const std::string& domain,
                            std::vector<ir::Value*> inputs, ir::ValueType type,
                            ir::Node* before) {
  ir::Node* node = graph().add_node(
      op, std::move(inputs), std::vector<std::string>{graph().unique_name(op)},
      before);
  node->domain = domain;
  node->output()->type = std::move(type);
  return node;
}

ir::Value* RuleGraph::constant_like(ir::ValueType type) {
  ir::Value* value = graph().add_constant("constant", no_bytes());
  value->type = std::move(type);
  return value;
}

void RuleGraph::make_constant(ir::Node* node) {
  std::vector<ir::Value*> outputs = node->outputs();
  graph().detach_node(node);
  for (ir::Value* value : outputs) {
    if (!value) continue;
    ir::ValueType type = value->type;
    value->set_tensor(no_bytes());
    value->type = std::move(type);
  }
}

void RuleGraph::remove_dead() {
  std::vector<ir::Node*> nodes = graph().node_list();
  for (size_t i = nodes.size(); i-- > 0;)
    if (is_unused(*nodes[i]) && !idle_.contains(nodes[i]->id()))
      graph().remove_node(nodes[i]);
}

void RuleGraph::sort() { graph().sort_nodes("kernels by rules"); }

const std::vector<const ir::Node*>& RuleGraph::origins(
    const ir::Node* node) const {
  static const std::vector<const ir::Node*> none;
  auto found = origins_.find(node);
  return found == origins_.end() ? none : found->second;
}

std::vector<DescribedKernel> kernels_by_rules(const ir::Model& model,
                                              const RuntimeTraits& traits) {
  RuleGraph rules(model, traits);
  rewrite(rules);
  std::unordered_map<const ir::Node*, size_t> positions;
  for (const auto& node : model.graph->nodes())
    positions.emplace(node.get(), positions.size());
  std::vector<DescribedKernel> kernels = describe_kernels(rules.model());
  size_t at = 0;
  for (const auto& node : rules.graph().nodes()) {
    if (node->is("Constant")) continue;
    DescribedKernel& kernel = kernels[at++];
    std::vector<const ir::Node*> nodes = rules.origins(node.get());
    std::ranges::sort(nodes, {},
                      [&](const ir::Node* n) { return positions.at(n); });
    for (const ir::Node* origin : nodes) kernel.nodes.push_back(origin->id());
    if (const ir::Node* main = main_node(nodes)) kernel.label = main->label();
  }
  return kernels;
}

}  // namespace lathe::latency
