// Chooses the nodes that compute in half precision.
//
// In execution order, subgraphs included, a node with float values is half
// unless
//
// 1. it is excluded, has no half form or is fragile (half_rules.cc);
// 2. a constant it reads has elements beyond half's largest number, or nothing
//    but numbers below its smallest normal one;
// 3. the calibrated range of a value it reads or writes is one of these;
// 4. it has no weights worth halving and reads only what stays in float: the
//    Cast then comes after it. Likewise, in reverse order, where all that
//    reads it is float and some of what it reads.
//
// Nodes with subgraphs hand float in and out; the nodes inside are chosen like
// others.
#include "passes/quantize/half_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "passes/quantize/half_rules.h"

namespace lathe::quantize {
namespace {

// From here on a constant is weights that half's size pays for.
constexpr int64_t kWorthHalving = 256;

bool is_cast_from(const ir::Node& node, ir::DataType type) {
  return node.is("Cast") && node.input(0) && node.input(0)->type.elem == type;
}

bool holds_weights(const ir::Node& node) {
  return std::ranges::any_of(node.inputs(), [](const ir::Value* value) {
    return is_float(value) && value->is_constant() &&
           value->tensor().size() >= kWorthHalving;
  });
}

// The float values that the node reads in half, if it is half.
std::vector<const ir::Value*> half_inputs(const ir::Node& node) {
  const HalfRule* rule = find_half_rule(node);
  std::vector<const ir::Value*> values;
  for (size_t i = 0; i < node.inputs().size(); ++i)
    if (is_float(node.input(i)) && !(rule && rule->keeps_float(i)))
      values.push_back(node.input(i));
  return values;
}

bool has_float(const std::vector<ir::Value*>& values) {
  return std::ranges::any_of(values, is_float);
}

std::string form_reason(const ir::Node& node) {
  // Whole numbers above 2048 are not exact in half.
  if (node.is("Cast") && is_float(node.output()))
    return is_cast_from(node, ir::DataType::kBool)
               ? ""
               : "whole numbers above 2048 are not exact in half";
  if (!node.subgraphs().empty())
    return "its inputs and outputs stay float; the nodes inside it are "
           "converted";
  const HalfRule* rule = find_half_rule(node);
  if (!rule) return fmt::format("{} has no half form", node.op_type);
  for (const auto* values : {&node.inputs(), &node.outputs()})
    for (const ir::Value* value : *values)
      if (value && value->type.elem == ir::DataType::kUndefined)
        return fmt::format("the type of '{}' is not known", value->name());
  if (rule->fragile) return rule->fragile;
  if (node.is("LayerNormalization") && (node.output(1) || node.output(2)))
    return "its mean and deviation are float";
  return "";
}

}  // namespace

bool is_float(const ir::Value* value) {
  return value && value->type.elem == ir::DataType::kFloat;
}

HalfPlan::HalfPlan(const ir::Model& model, const HalfOptions& options,
                   const ActivationRanges& ranges)
    : options_(options), ranges_(ranges), top_(model.graph.get()) {
  visit(*model.graph);
  give_back_enclosed();
  for (const ir::Node* node : order_)
    if (!is_half(node)) remarks_.push_back({node->id(), reasons_.at(node)});
}

bool HalfPlan::reads_half(const ir::Node& node, size_t index) const {
  if (!is_half(&node)) return false;
  const HalfRule* rule = find_half_rule(node);
  return !rule || !rule->keeps_float(index);
}

void HalfPlan::visit(const ir::Graph& graph) {
  for (const auto& node : graph.nodes()) {
    for (const ir::Graph* sub : node->subgraphs()) visit(*sub);
    // What only looks at float values has no precision of its own.
    if (!has_float(node->outputs()) &&
        (!has_float(node->inputs()) || reads_any_float(*node)))
      continue;
    order_.push_back(node.get());
    std::string reason = reason_for(*node);
    if (reason.empty())
      half_.insert(node.get());
    else
      reasons_[node.get()] = std::move(reason);
  }
}

std::string HalfPlan::reason_for(const ir::Node& node) {
  std::string reason = exclusion(node);
  if (reason.empty()) reason = form_reason(node);
  if (reason.empty()) reason = overflow(node);
  if (reason.empty() && follows_float(node))
    reason = "it reads only what stays in float";
  return reason;
}

std::string HalfPlan::exclusion(const ir::Node& node) const {
  if (std::ranges::count(options_.exclude_nodes, node.id()))
    return "exclude_nodes names it";
  if (std::ranges::count(options_.exclude_operators, node.op_type))
    return fmt::format("exclude_operators names {}", node.op_type);
  return "";
}

std::string HalfPlan::overflow(const ir::Node& node) {
  for (const ir::Value* value : half_inputs(node)) {
    const std::string reason = value->has_initializer()
                                   ? constant_overflow(*value)
                                   : range_overflow(*value);
    if (!reason.empty()) return reason;
  }
  const ir::Tensor* fill =
      node.is("ConstantOfShape") ? node.attr_tensor("value") : nullptr;
  if (fill && fill->type() == ir::DataType::kFloat && fill->size() == 1 &&
      std::fabs(fill->data<float>()[0]) > kLargestHalf)
    return fmt::format("it fills with {:.3g}, beyond half's 65504",
                       fill->data<float>()[0]);
  for (const ir::Value* value : node.outputs())
    if (is_float(value))
      if (std::string reason = range_overflow(*value); !reason.empty())
        return reason;
  return "";
}

const std::string& HalfPlan::constant_overflow(const ir::Value& value) {
  auto [at, is_new] = constants_.try_emplace(&value);
  if (!is_new) return at->second;
  float largest = 0;
  for (float x : value.tensor().data<float>())
    if (std::isfinite(x)) largest = std::max(largest, std::fabs(x));
  if (largest > kLargestHalf)
    at->second = fmt::format("'{}' holds {:.3g}, beyond half's 65504",
                             value.name(), largest);
  else if (largest > 0 && largest < kSmallestNormalHalf)
    at->second = fmt::format(
        "'{}' holds nothing above {:.3g}; half loses bits below 6.1e-05",
        value.name(), largest);
  return at->second;
}

std::string HalfPlan::range_overflow(const ir::Value& value) const {
  if (&value.graph() != top_) return "";
  const auto found = ranges_.find(value.name());
  if (found == ranges_.end()) return "";
  const Range& range = found->second;
  const float largest = std::max(std::fabs(range.min), std::fabs(range.max));
  if (largest > kLargestHalf)
    return fmt::format("'{}' reaches {:.3g}, beyond half's 65504", value.name(),
                       largest);
  if (largest > 0 && largest < kSmallestNormalHalf)
    return fmt::format(
        "'{}' reaches only {:.3g}; half loses bits below 6.1e-05", value.name(),
        largest);
  return "";
}

bool HalfPlan::follows_float(const ir::Node& node) const {
  if (holds_weights(node)) return false;
  bool any = false;
  for (const ir::Value* value : half_inputs(node)) {
    if (value->has_initializer()) continue;
    const ir::Node* producer = value->producer();
    // A Cast from half stands for the half value behind it.
    if (is_half(value) ||
        (producer && is_cast_from(*producer, ir::DataType::kFloat16)))
      return false;
    any = true;
  }
  return any;
}

void HalfPlan::give_back_enclosed() {
  for (auto at = order_.rbegin(); at != order_.rend(); ++at) {
    const ir::Node& node = **at;
    if (!is_half(&node) || holds_weights(node)) continue;
    const bool reads_float =
        std::ranges::any_of(half_inputs(node), [this](const ir::Value* value) {
          return !value->has_initializer() && !is_half(value);
        });
    const bool is_read_in_half =
        std::ranges::any_of(node.outputs(), [this](const ir::Value* value) {
          return is_float(value) &&
                 std::ranges::any_of(value->uses(), [this](const ir::Use& use) {
                   return reads_half(*use.node, use.index);
                 });
        });
    if (!reads_float || is_read_in_half) continue;
    half_.erase(&node);
    reasons_[&node] = "it stands between nodes that stay in float";
  }
}

}  // namespace lathe::quantize
