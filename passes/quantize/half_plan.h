// Which nodes compute in half precision.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "passes/activation_ranges.h"
#include "passes/ir/graph.h"
#include "passes/pass.h"
#include "passes/quantize/quantize.h"

namespace lathe::quantize {

// The largest half, and the smallest with all its bits.
inline constexpr float kLargestHalf = 65504;
inline constexpr float kSmallestNormalHalf = 6.103515625e-05f;

bool is_float(const ir::Value* value);  // a float tensor; null: no

class HalfPlan {
 public:
  // Types must be inferred. `ranges`: of top-level values, may be empty. See
  // the rules at the top of half_plan.cc.
  HalfPlan(const ir::Model& model, const HalfOptions& options,
           const ActivationRanges& ranges);

  bool is_half(const ir::Node* node) const { return half_.contains(node); }
  // A float value that becomes half: a half node computes it, or it is an
  // input of the model that need not stay float.
  bool is_half(const ir::Value* value) const {
    if (!is_float(value)) return false;
    if (value->producer()) return is_half(value->producer());
    return !options_.keep_io && value->is_graph_input() &&
           !value->has_initializer() && &value->graph() == top_;
  }
  // The node reads its float input `index` in half.
  bool reads_half(const ir::Node& node, size_t index) const;
  // In the order of the graph, one for each node with float values that is not
  // half.
  const std::vector<Remark>& remarks() const { return remarks_; }

 private:
  void visit(const ir::Graph& graph);
  std::string reason_for(const ir::Node& node);
  std::string exclusion(const ir::Node& node) const;
  std::string overflow(const ir::Node& node);
  const std::string& constant_overflow(const ir::Value& value);
  std::string range_overflow(const ir::Value& value) const;
  bool follows_float(const ir::Node& node) const;
  void give_back_enclosed();

  const HalfOptions& options_;
  const ActivationRanges& ranges_;
  const ir::Graph* top_;
  std::vector<const ir::Node*> order_;  // nodes with float values
  std::unordered_set<const ir::Node*> half_;
  std::unordered_map<const ir::Node*, std::string> reasons_;
  std::unordered_map<const ir::Value*, std::string> constants_;
  std::vector<Remark> remarks_;
};

}  // namespace lathe::quantize
