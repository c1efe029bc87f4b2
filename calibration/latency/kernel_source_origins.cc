// The runtime keeps most names of values, but not those inside blocked or
// interleaved stretches; there the names of nodes tell, which it makes from the
// names of what they replace; else those of weights; else the shape of the
// graph. From the value where a kernel ends in the original graph, its nodes
// are all behind it as far as where other kernels end.
#include "calibration/latency/kernel_source_origins.h"

#include <algorithm>
#include <unordered_set>

#include "calibration/latency/kernel_describe.h"
#include "calibration/latency/kernel_source_layout.h"
#include "passes/ir/op_table.h"

namespace lathe::latency {
namespace {

using Ends = std::vector<const ir::Value*>;

bool is_8_bit(const ir::Value* value) {
  return value && (value->type.elem == ir::DataType::kInt8 ||
                   value->type.elem == ir::DataType::kUint8);
}

const ir::Node* only_consumer(const ir::Value* value) {
  if (!value || value->uses().size() != 1) return nullptr;
  const ir::Node* node = value->uses()[0].node;
  return &node->graph() == &value->graph() ? node : nullptr;
}

class Finder {
 public:
  Finder(const ir::Graph& optimized, const ir::Graph& original)
      : optimized_(optimized), original_(original) {
    size_t position = 0;
    for (const auto& node : original.nodes()) {
      positions_[node.get()] = position++;
      by_name_.emplace(node->id(), node.get());
      if (is_computed_early(*node)) early_.insert(node.get());
    }
  }

  std::unordered_map<const ir::Node*, Origins> run() {
    for (const auto& input : optimized_.inputs())
      if (const ir::Value* same = original_.find(input->name()))
        note_end(input, same);
    for (const auto& node : optimized_.nodes()) visit(*node);
    return std::move(origins_);
  }

 private:
  // Depends on constants only.
  bool is_computed_early(const ir::Node& node) const {
    if (node.is("Constant")) return true;
    const ir::Operator* op = ir::find_operator(node);
    if (!op || !op->deterministic || !node.subgraphs().empty()) return false;
    if (node.is("Shape") || node.is("Size"))
      return node.input(0) && node.input(0)->type.has_static_shape();
    return std::ranges::all_of(node.inputs(), [&](const ir::Value* value) {
      return !value || is_constant_value(value) ||
             (value->producer() && early_.contains(value->producer()));
    });
  }

  void note_end(const ir::Value* optimized, const ir::Value* original) {
    ends_[optimized] = original;
    borders_.insert(original);
  }

  void visit(const ir::Node& node) {
    Ends ends = find_ends(node);
    if (ends.empty()) return;
    if (ends.size() == 1) ends[0] = extended(node, ends[0]);
    Origins& origins = origins_[&node];
    for (const ir::Value* end : ends) walk_back(end, origins.nodes);
    std::ranges::sort(origins.nodes, {},
                      [&](const ir::Node* n) { return positions_.at(n); });
    origins.main = main_node(origins.nodes);
    // Half of a HardSwish: the Mul behind it ends there.
    if (node.is("HardSigmoid") && origins.main && origins.main->is("HardSwish"))
      return;
    for (size_t i = 0; i < node.outputs().size() && i < ends.size(); ++i)
      if (node.output(i)) note_end(node.output(i), ends[i]);
  }

  Ends find_ends(const ir::Node& node) const {
    Ends ends;
    for (const ir::Value* output : node.outputs()) {
      const ir::Value* same = output ? original_.find(output->name()) : nullptr;
      if (same && same->producer()) ends.push_back(same);
    }
    if (!ends.empty()) return ends;
    std::string base = base_name(node.name);
    if (!base.empty()) {
      if (const ir::Value* value = original_.find(base);
          value && value->producer())
        return {value};
      auto found = by_name_.find(base);
      if (found != by_name_.end() && found->second->output())
        return {found->second->output()};
    }
    if (const ir::Value* value = end_by_weights(node)) return {value};
    if (const ir::Value* value = end_by_inputs(node)) return {value};
    return {};
  }

  const ir::Value* find_same(const ir::Value* value) const {
    if (!value) return nullptr;
    const ir::Value* same = original_.find(value->name());
    if (!same && value->name().starts_with("InsertedPrecisionFreeCast_"))
      same = original_.find(base_name(value->name()));
    return same;
  }

  // Of the only node that computes with a constant of the same name.
  const ir::Value* end_by_weights(const ir::Node& node) const {
    for (const ir::Value* input : data_inputs(node)) {
      if (!is_constant_value(input)) continue;
      const ir::Value* same = original_.find(input->name());
      const ir::Node* user = only_consumer(same);
      if (user && user->op_type == "DequantizeLinear")
        user = only_consumer(user->output());
      if (user && !owned_.contains(user)) return user->output();
    }
    return nullptr;
  }

  // Of a node of the same operator that reads what this one reads.
  const ir::Value* end_by_inputs(const ir::Node& node) const {
    std::string kind = kernel_kind(node);
    for (const ir::Value* input : node.inputs()) {
      auto found = ends_.find(input);
      if (found == ends_.end()) continue;
      const ir::Node* match = consumer_of_kind(found->second, kind);
      if (!match && kind == "hard_sigmoid")
        match = consumer_of_kind(found->second, "hard_swish");
      if (match) return match->output();
    }
    return nullptr;
  }

  const ir::Node* consumer_of_kind(const ir::Value* value,
                                   const std::string& kind) const {
    for (const ir::Use& use : value->uses()) {
      const ir::Node* node = use.node;
      if (&node->graph() != &original_) continue;
      // A quantized operator begins behind the DequantizeLinear.
      if (node->op_type == "DequantizeLinear" && node->output() &&
          kind != "dequantize_linear") {
        if (const ir::Node* inner = consumer_of_kind(node->output(), kind))
          return inner;
        continue;
      }
      if (!owned_.contains(node) && kernel_kind(*node) == kind &&
          node->output())
        return node;
    }
    return nullptr;
  }

  // A name may be that of the operator proper; what was fused behind it
  // belongs to the kernel as well.
  const ir::Value* extended(const ir::Node& node, const ir::Value* end) const {
    if (node.op_type == "ReorderOutput" || node.op_type == "ReorderInput" ||
        original_.find(node.output()->name()) == end)
      return extended_codes(node, end);
    bool blocked_conv = node.is("Conv", "com.microsoft.nchwc");
    auto step = [&](std::string_view op) {
      const ir::Node* next = only_consumer(end);
      if (!next || next->op_type != op || owned_.contains(next)) return false;
      end = next->output();
      return true;
    };
    if (blocked_conv && node.input(3)) {
      // A BatchNormalization may stand between, folded.
      step("BatchNormalization");
      if (!step("Add")) step("Sum");
    }
    if (node.is("Gemm") && end->producer()->is("MatMul")) step("Add");
    std::string activation = node.attr_string("activation", "");
    if (!activation.empty() && end->producer()->op_type != activation)
      step(activation);
    return extended_codes(node, end);
  }

  const ir::Value* extended_codes(const ir::Node& node,
                                  const ir::Value* end) const {
    if (!is_8_bit(node.output()) || is_8_bit(end)) return end;
    const ir::Value* at = end;
    for (int steps = 0; steps < 3; ++steps) {
      const ir::Node* next = only_consumer(at);
      if (!next || owned_.contains(next) || !next->output()) return end;
      at = next->output();
      if (next->op_type == "QuantizeLinear") return at;
    }
    return end;
  }

  void walk_back(const ir::Value* end, std::vector<const ir::Node*>& nodes) {
    std::vector<const ir::Value*> open = {end};
    bool first = true;
    while (!open.empty()) {
      const ir::Value* value = open.back();
      open.pop_back();
      bool border = !first && borders_.contains(value);
      first = false;
      const ir::Node* node = value ? value->producer() : nullptr;
      if (border || !node || &node->graph() != &original_ ||
          early_.contains(node) || !owned_.insert(node).second)
        continue;
      nodes.push_back(node);
      for (const ir::Value* input : node->inputs())
        if (input) open.push_back(input);
    }
  }

  const ir::Graph& optimized_;
  const ir::Graph& original_;
  std::unordered_map<const ir::Node*, size_t> positions_;
  std::unordered_map<std::string, const ir::Node*> by_name_;
  std::unordered_set<const ir::Node*> early_, owned_;
  std::unordered_map<const ir::Value*, const ir::Value*> ends_;
  std::unordered_set<const ir::Value*> borders_;
  std::unordered_map<const ir::Node*, Origins> origins_;
};

}  // namespace

const ir::Node* main_node(const std::vector<const ir::Node*>& nodes) {
  const ir::Node* best = nullptr;
  auto rank = [](const ir::Node* node) {
    const ir::Operator* op = ir::find_operator(*node);
    if (!op) return 2;
    switch (op->op_class) {
      case ir::OpClass::kCompute:
      case ir::OpClass::kRecurrent:
        return 4;
      case ir::OpClass::kQuantization:
        return 1;
      default:
        return 3;
    }
  };
  for (const ir::Node* node : nodes)
    if (!best || rank(node) > rank(best)) best = node;
  return best;
}

std::unordered_map<const ir::Node*, Origins> find_origins(
    const ir::Graph& optimized, const ir::Graph& original) {
  return Finder(optimized, original).run();
}

}  // namespace lathe::latency
