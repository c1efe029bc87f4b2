#include "passes/distill/cut_values.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "passes/ir/op_table.h"

namespace lathe::distill {
namespace {

// The class of a node's operator; kOther where it is unknown.
ir::OpClass class_of(const ir::Node& node) {
  const ir::Operator* op = ir::find_operator(node);
  return op ? op->op_class : ir::OpClass::kOther;
}

// The axis of channels that a node's operator works along; nullopt where it
// says nothing.
std::optional<int64_t> operator_axis(const ir::Node& node, int64_t rank) {
  switch (class_of(node)) {
    case ir::OpClass::kPooling:
      return 1;
    case ir::OpClass::kCompute:
      return node.op_type.find("Conv") != std::string::npos ? 1 : rank - 1;
    case ir::OpClass::kNormalization:
      return node.op_type.find("Layer") != std::string::npos ||
                     node.op_type.find("RMS") != std::string::npos
                 ? rank - 1
                 : 1;
    default:
      return node.is("Gather") ? std::optional(rank - 1) : std::nullopt;
  }
}

// Follows element-wise operators from the value to the first that knows.
std::optional<int64_t> follow_axis(const ir::Value& value, bool back,
                                   int64_t rank) {
  std::vector<const ir::Value*> waiting{&value};
  std::unordered_set<const ir::Value*> seen{&value};
  const auto look = [&](const ir::Node& node) -> std::optional<int64_t> {
    if (const auto axis = operator_axis(node, rank)) return axis;
    const ir::OpClass op_class = class_of(node);
    if (op_class != ir::OpClass::kElementwise &&
        op_class != ir::OpClass::kQuantization && !node.is("Identity"))
      return std::nullopt;
    for (const ir::Value* next : back ? node.inputs() : node.outputs())
      if (next && !next->has_initializer() && seen.insert(next).second)
        waiting.push_back(next);
    return std::nullopt;
  };
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (back) {
      if (const ir::Node* node = waiting[i]->producer())
        if (const auto axis = look(*node)) return axis;
      continue;
    }
    for (const ir::Use& use : waiting[i]->uses())
      if (const auto axis = look(*use.node)) return axis;
  }
  return std::nullopt;
}

int64_t channel_axis(const ir::Value& value) {
  const auto rank = static_cast<int64_t>(value.type.shape->size());
  if (const auto axis = follow_axis(value, /*back=*/true, rank)) return *axis;
  if (const auto axis = follow_axis(value, /*back=*/false, rank)) return *axis;
  return rank == 3 ? 2 : 1;
}

// Pools or moves what it reads.
bool only_moves(const ir::Node& node) {
  const ir::OpClass op_class = class_of(node);
  return op_class == ir::OpClass::kPooling ||
         (op_class == ir::OpClass::kDataMovement && !node.is("Concat"));
}

std::optional<CutValue> described(const ir::Value& value, int64_t depth,
                                  int64_t all_layers) {
  if (value.is_graph_output() || value.is_graph_input() ||
      !ir::is_floating(value.type.elem) || !value.type.shape)
    return std::nullopt;
  const std::vector<int64_t> dims = ir::to_dims(*value.type.shape);
  if (dims.size() < 2 || std::any_of(dims.begin() + 1, dims.end(),
                                     [](int64_t dim) { return dim < 1; }))
    return std::nullopt;
  CutValue cut{&value, channel_axis(value), 0, {}, depth, all_layers};
  for (size_t i = 1; i < dims.size(); ++i)
    if (static_cast<int64_t>(i) == cut.axis)
      cut.channels = dims[i];
    else
      cut.positions.push_back(dims[i]);
  return cut;
}

bool contains_inside(const std::vector<size_t>& values,
                     const std::vector<bool>& inside) {
  return std::ranges::any_of(values,
                             [&](size_t value) { return inside[value]; });
}

// The top-level graph, nodes and values as numbers.
class Flow {
 public:
  explicit Flow(const ir::Graph& graph) {
    std::unordered_map<const ir::Node*, size_t> places;
    for (const auto& node : graph.nodes()) {
      places[node.get()] = nodes_.size();
      nodes_.push_back(node.get());
    }
    operands_.resize(nodes_.size());
    results_.resize(nodes_.size());
    for (const ir::Value* value : graph.values()) {
      const size_t number = values_.size();
      numbers_[value] = number;
      values_.push_back(value);
      if (value->producer())
        results_[places.at(value->producer())].push_back(number);
      begins_.push_back(value->producer() ? places.at(value->producer()) + 1
                                          : 0);
      for (const ir::Use& use : value->uses()) {
        const ir::Node* node = use.node;
        while (&node->graph() != &graph) node = node->graph().owner();
        operands_[places.at(node)].push_back(number);
      }
    }
  }

  struct Cut {
    const ir::Value* value;
    int64_t depth;
  };
  // The computed values on every path, the output included.
  std::vector<Cut> between(const ir::Value& input,
                           const ir::Value& output) const {
    const size_t end = nodes_.size();
    std::vector<bool> reached(values_.size()), inside(values_.size());
    std::vector<bool> node_inside(end);
    reached[numbers_.at(&input)] = true;
    for (size_t i = 0; i < end; ++i) {
      node_inside[i] = class_of(*nodes_[i]) != ir::OpClass::kShape &&
                       contains_inside(operands_[i], reached);
      if (!node_inside[i]) continue;
      for (const size_t value : results_[i]) reached[value] = true;
    }
    const size_t last = numbers_.at(&output);
    if (!reached[last]) return {};
    // A value is live at the points from its node's end to the start of the
    // last node that reads it; point i lies before node i.
    std::vector<size_t> ends(values_.size(), 0);
    inside[last] = true;
    ends[last] = end;
    for (size_t i = end; i-- > 0;) {
      node_inside[i] = node_inside[i] && contains_inside(results_[i], inside);
      if (!node_inside[i]) continue;
      for (const size_t value : operands_[i]) {
        if (!reached[value]) continue;
        inside[value] = true;
        ends[value] = std::max(ends[value], i);
      }
    }
    std::vector<int64_t> live(end + 2, 0), depth(end + 1, 0);
    for (size_t value = 0; value < values_.size(); ++value)
      if (inside[value]) {
        ++live[begins_[value]];
        --live[ends[value] + 1];
      }
    for (size_t i = 0; i < end; ++i) {
      live[i + 1] += live[i];
      depth[i + 1] = depth[i] + (node_inside[i] && is_layer(*nodes_[i]));
    }
    std::vector<Cut> cuts;
    for (size_t i = 0; i < end; ++i)
      for (const size_t value : results_[i])
        if (inside[value] && live[i + 1] == 1)
          cuts.push_back({values_[value], depth[i + 1]});
    return cuts;
  }

 private:
  std::vector<const ir::Node*> nodes_;
  std::vector<const ir::Value*> values_;
  std::unordered_map<const ir::Value*, size_t> numbers_;
  std::vector<std::vector<size_t>> operands_, results_;  // of nodes
  std::vector<size_t> begins_;  // of values: the first point
};

}  // namespace

bool is_layer(const ir::Node& node) {
  return class_of(node) == ir::OpClass::kCompute;
}

std::vector<CutValue> cut_values(const ir::Model& model) {
  const Flow flow(*model.graph);
  std::vector<Flow::Cut> most;
  for (const ir::Value* input : model.graph->inputs()) {
    if (input->has_initializer()) continue;
    for (const ir::Value* output : model.graph->outputs()) {
      auto cuts = flow.between(*input, *output);
      if (cuts.size() > most.size()) most = std::move(cuts);
    }
  }
  std::vector<CutValue> kept;
  const int64_t all_layers = most.empty() ? 0 : most.back().depth;
  for (const Flow::Cut& cut : most) {
    if (cut.depth == 0 || cut.depth == all_layers ||
        (!kept.empty() && kept.back().depth == cut.depth &&
         only_moves(*cut.value->producer())))
      continue;
    if (auto found = described(*cut.value, cut.depth, all_layers))
      kept.push_back(std::move(*found));
  }
  return kept;
}

}  // namespace lathe::distill
