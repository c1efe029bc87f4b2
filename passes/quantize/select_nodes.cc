// Chooses the nodes that become integer kernels.
//
// 1. Every Conv, Gemm and MatMul with constant float weights that no refusal
//    (refusals.h) or exclusion keeps out.
// 2. In execution order, operators around them: all their data must come as
//    codes, from a quantized node or a constant; operators that only move data
//    also take it straight from a model input. Relu and Clip whose only source
//    is a quantized node become part of it (the runtime drops them there).
// 3. In reverse order, what no integer kernel reads goes back to float, unless
//    its input is on codes anyway: a Conv must write codes to be an integer
//    kernel, while MatMul and Gemm can write float for free.
// 4. Connected groups without a Conv, Gemm or MatMul go back to float: their
//    borders would only cost.
//
// Source: the group rules of onnxruntime's qdq_transformer.
#include "passes/quantize/select_nodes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "passes/quantize/keep_matmul_bias.h"
#include "passes/quantize/left_alone.h"
#include "passes/quantize/refusals.h"

namespace lathe::quantize {

Selection Selection::in(const std::vector<ir::Node*>& nodes,
                        const std::vector<ir::Node*>& clones,
                        const std::vector<char>& keeps) const {
  Selection moved;
  moved.remarks = remarks;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (keeps[i]) moved.roles.emplace(clones[i], roles.at(nodes[i]));
  return moved;
}

bool Selection::reads(const ir::Use& use) const {
  auto it = roles.find(use.node);
  if (it == roles.end() || it->second == Role::kFused) return false;
  return std::ranges::count(data_inputs(*use.node, it->second), use.index) > 0;
}

bool Selection::is_read(const ir::Value& value) const {
  return std::ranges::any_of(value.uses(),
                             [this](const ir::Use& use) { return reads(use); });
}

bool Selection::is_inside(const ir::Value& value) const {
  return value.uses().size() == 1 && contains(value.producer()) &&
         has_role(value.uses()[0].node, Role::kFused);
}

bool cuts_off(const Selection& selection, const ir::Node* node) {
  return selection.has_role(node, Role::kFused) && !node->is("Add");
}

bool writes_float_for_free(const Selection& selection, const ir::Node& node) {
  return node.is("MatMul") || node.is("Gemm") ||
         (node.is("Add") && selection.has_role(&node, Role::kFused));
}

namespace {

class Selector {
 public:
  Selector(const ir::Model& model, const QuantizeOptions& options)
      : model_(model),
        graph_(*model.graph),
        options_(options),
        nodes_(graph_.node_list()) {}

  Selection run() {
    selection_.remarks =
        unknown_node_remarks(graph_, options_.exclude_nodes, "exclude_nodes");
    for (ir::Node* node : nodes_) choose_forward(*node);
    for (size_t i = nodes_.size(); i > 0; --i) drop_unread(*nodes_[i - 1]);
    drop_islands();
    for (ir::Node* node : nodes_) {
      auto it = reasons_.find(node);
      if (it != reasons_.end())
        selection_.remarks.push_back({node->id(), it->second});
    }
    for (Remark& remark : inner_node_remarks(model_))
      selection_.remarks.push_back(std::move(remark));
    return std::move(selection_);
  }

 private:
  std::optional<std::string> exclusion(const ir::Node& node) const {
    if (std::ranges::count(options_.exclude_nodes, node.id()))
      return "exclude_nodes names it";
    if (std::ranges::count(options_.exclude_operators, node.op_type))
      return fmt::format("exclude_operators names {}", node.op_type);
    return std::nullopt;
  }

  void choose_forward(ir::Node& node) {
    const OperatorRule* rule = find_rule(node);
    if (auto reason = exclusion(node)) {
      if (rule || is_compute(node)) reasons_[&node] = *reason;
      return;
    }
    auto reason = refusal(node);
    if (!reason && !multiplies_activations(node) &&
        rule->role == Role::kCompute) {
      selection_.roles[&node] = Role::kCompute;
      committed_.insert_or_assign(&node, node.is("Conv"));
      return;
    }
    if (!reason) reason = choose_follower(node, *rule);
    if (reason && is_compute(node)) reasons_[&node] = *reason;
  }

  // Selects the node where its data comes as codes; else the reason.
  std::optional<std::string> choose_follower(ir::Node& node,
                                             const OperatorRule& rule) {
    if (can_fuse(node)) {
      selection_.roles[&node] = Role::kFused;
      committed_.insert_or_assign(
          &node, !node.is("Add") && committed_[node.input(0)->producer()]);
      return std::nullopt;
    }
    Role role = node.is("MatMul") ? Role::kArithmetic : rule.role;
    // The runtime's Pad and Clip take no codes of 16 bits.
    if (role == Role::kCodes &&
        ir::bits_per_element(options_.activation_type) == 16)
      role = Role::kMovement;
    bool moves = role == Role::kMovement || role == Role::kCodes;
    bool committed = false, any = false;
    for (size_t i : data_inputs(node, role)) {
      ir::Value* value = node.input(i);
      if (!moves && value->is_constant()) continue;
      bool from_input = moves && value->is_graph_input() &&
                        !value->has_initializer() && &value->graph() == &graph_;
      if (!from_input && !selection_.contains(value->producer()))
        return fmt::format(
            "its input '{}' is computed in float, and converting it costs "
            "more than the integer kernel saves",
            value->name());
      any = true;
      committed |= !from_input && committed_[value->producer()];
    }
    if (!any) return "its inputs are constants";
    selection_.roles[&node] = role;
    committed_.insert_or_assign(&node, committed && !node.is("MatMul"));
    return std::nullopt;
  }

  // A Relu or Clip that disappears: the node before it writes for it alone and
  // has output parameters of its own.
  bool can_fuse(const ir::Node& node) const {
    if (node.is("Add")) return is_merged_bias(node);
    if (!node.is("Relu") && !node.is("Clip")) return false;
    // Symmetric codes reach below any bound that is worth fusing.
    if (options_.activation_symmetric) return false;
    const ir::Value* value = node.input(0);
    if (value->uses().size() != 1 || value->is_graph_output()) return false;
    auto it = selection_.roles.find(value->producer());
    if (it == selection_.roles.end() ||
        (it->second != Role::kCompute && it->second != Role::kArithmetic &&
         !value->producer()->is("Add")))
      return false;
    const OperatorRule* rule = find_rule(*value->producer());
    if (rule->fixed_range) return false;
    // Zero must be a code between the bounds, and Relu's the lowest one.
    Range bounds = *clip_bounds(node);
    return bounds.min <= 0 && bounds.max > 0;
  }

  // Of a MatMul that is an integer kernel.
  bool is_merged_bias(const ir::Node& add) const {
    for (size_t i : {0, 1})
      if (const ir::Value* product = add.input(i);
          product && selection_.has_role(product->producer(), Role::kCompute) &&
          ir::bits_per_element(options_.activation_type) == 8 &&
          adds_constant_bias(add, *product->producer()))
        return true;
    return false;
  }

  bool is_read(const ir::Node& node) const {
    return std::ranges::any_of(node.outputs(), [&](ir::Value* value) {
      if (!value) return false;
      if (selection_.is_read(*value)) return true;
      return std::ranges::any_of(value->uses(), [&](const ir::Use& use) {
        return selection_.has_role(use.node, Role::kFused);
      });
    });
  }

  void drop_unread(ir::Node& node) {
    auto it = selection_.roles.find(&node);
    if (it == selection_.roles.end()) return;
    Role role = it->second;
    if (role == Role::kCompute || node.is("MatMul")) return;
    bool needs_reader = role != Role::kFused && find_rule(node)->needs_reader;
    if (is_read(node) || (committed_[&node] && !needs_reader)) return;
    selection_.roles.erase(it);
  }

  // Union of nodes that hand each other codes, by a walk over the values.
  void drop_islands() {
    std::set<const ir::Node*> seen;
    for (ir::Node* start : nodes_) {
      if (!selection_.contains(start) || seen.contains(start)) continue;
      std::vector<const ir::Node*> group{start};
      seen.insert(start);
      auto visit = [&](const ir::Node* node) {
        if (selection_.contains(node) && seen.insert(node).second)
          group.push_back(node);
      };
      for (size_t i = 0; i < group.size(); ++i) {
        for (ir::Value* value : group[i]->inputs())
          if (value) visit(value->producer());
        for (ir::Value* value : group[i]->outputs())
          if (value)
            for (const ir::Use& use : value->uses()) visit(use.node);
      }
      if (std::ranges::any_of(group, [&](const ir::Node* node) {
            return selection_.has_role(node, Role::kCompute);
          }))
        continue;
      for (const ir::Node* node : group) {
        selection_.roles.erase(node);
        if (is_compute(*node))
          reasons_[node] =
              "no Conv, Gemm or MatMul with constant weights is next to it";
      }
    }
  }

  const ir::Model& model_;
  const ir::Graph& graph_;
  const QuantizeOptions& options_;
  std::vector<ir::Node*> nodes_;
  Selection selection_;
  // The node's output is on codes even if no integer kernel reads it.
  std::map<const ir::Node*, bool> committed_;
  std::map<const ir::Node*, std::string> reasons_;
};

}  // namespace

Selection select_nodes(const ir::Model& model, const QuantizeOptions& options) {
  return Selector(model, options).run();
}

}  // namespace lathe::quantize
