// Formulas that exporters write node by node and the runtime computes in one:
// Gelu and its relatives, normalizations, sums in front of them.
#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "calibration/latency/kernel_rules.h"

namespace lathe::latency {
namespace {

using Nodes = std::vector<ir::Node*>;

bool near(std::optional<double> value, double wanted) {
  return value && std::abs(*value - wanted) <= 1e-3 * std::abs(wanted);
}

// The constant operand of a node of two, if it has one.
std::optional<double> constant_operand(const RuleGraph& rules,
                                       const ir::Node& node) {
  if (node.inputs().size() != 2) return std::nullopt;
  if (auto second = rules.scalar(node.input(1))) return second;
  return rules.scalar(node.input(0));
}

ir::Value* variable_operand(const RuleGraph& rules, const ir::Node& node) {
  return rules.constant(node.input(1)) ? node.input(0) : node.input(1);
}

// The Mul behind `value`, times `factor` near it.
ir::Node* user_times(const RuleGraph& rules, const ir::Value* value,
                     double factor) {
  ir::Node* node = RuleGraph::only_user(value);
  if (node && node->is("Mul") && near(constant_operand(rules, *node), factor))
    return node;
  if (node && node->is("Div") && near(rules.scalar(node->input(1)), 1 / factor))
    return node;
  return nullptr;
}

// From (1 + f(x)) on: times x and times a half, in any order. Null: another
// formula. Fills the nodes passed.
ir::Node* finish_gate(const RuleGraph& rules, ir::Node* plus_one,
                      const ir::Value* x, Nodes& passed) {
  ir::Node* product = RuleGraph::only_user(plus_one->output());
  if (product && product->is("Mul") &&
      near(constant_operand(rules, *product), 0.5)) {
    // (0.5 * (1 + f)) * x
    ir::Node* last = RuleGraph::only_user(product->output());
    if (!last || !last->is("Mul") ||
        RuleGraph::other_input(*last, product->output()) != x)
      return nullptr;
    passed.push_back(product);
    return last;
  }
  if (!product || !product->is("Mul")) return nullptr;
  ir::Value* other = RuleGraph::other_input(*product, plus_one->output());
  if (other == x) {
    ir::Node* last = user_times(rules, product->output(), 0.5);
    if (last) passed.push_back(product);
    return last;
  }
  ir::Node* half = other ? other->producer() : nullptr;
  if (!half || RuleGraph::only_user(other) != product ||
      variable_operand(rules, *half) != x)
    return nullptr;
  bool halves =
      (half->is("Mul") && near(constant_operand(rules, *half), 0.5)) ||
      (half->is("Div") && near(rules.scalar(half->input(1)), 2));
  if (!halves) return nullptr;
  passed.push_back(half);
  return product;
}

// Gelu(x) = x * 0.5 * (1 + erf(x / sqrt(2))).
void fuse_erf(RuleGraph& rules, ir::Node* erf) {
  ir::Node* scale = erf->input(0) ? erf->input(0)->producer() : nullptr;
  if (!scale || RuleGraph::only_user(erf->input(0)) != erf) return;
  bool root = (scale->is("Div") &&
               near(rules.scalar(scale->input(1)), std::sqrt(2.0))) ||
              (scale->is("Mul") &&
               near(constant_operand(rules, *scale), std::sqrt(0.5)));
  ir::Node* plus_one = RuleGraph::only_user(erf->output());
  if (!root || !plus_one || !plus_one->is("Add") ||
      !near(constant_operand(rules, *plus_one), 1))
    return;
  ir::Value* x = variable_operand(rules, *scale);
  Nodes passed = {plus_one, erf, scale};
  ir::Node* last = finish_gate(rules, plus_one, x, passed);
  if (!last) return;
  std::reverse(passed.begin(), passed.begin() + 3);
  rules.fuse(last, {}, "Gelu", kMicrosoftDomain, {x});
  for (ir::Node* node : passed) rules.inherit(last, node);
}

// FastGelu(x): tanh of a polynomial in x in the place of erf.
void fuse_tanh(RuleGraph& rules, ir::Node* tanh) {
  ir::Node* plus_one = RuleGraph::only_user(tanh->output());
  if (!plus_one || !plus_one->is("Add") ||
      !near(constant_operand(rules, *plus_one), 1))
    return;
  // The polynomial: Mul, Add and Pow above the one value it is of.
  Nodes cone = {plus_one, tanh};
  std::unordered_set<const ir::Node*> inside = {tanh};
  std::unordered_set<const ir::Value*> leaves;
  std::vector<ir::Value*> open = {tanh->input(0)};
  size_t powers = 0;
  while (!open.empty() && cone.size() < 12) {
    ir::Value* value = open.back();
    open.pop_back();
    if (!value || rules.constant(value)) continue;
    ir::Node* node = value->producer();
    bool polynomial =
        node && (node->is("Mul") || node->is("Add") || node->is("Pow")) &&
        std::ranges::all_of(value->uses(), [&](const ir::Use& use) {
          return inside.contains(use.node);
        });
    // x itself has users outside the formula, or no such producer.
    if (!polynomial) {
      leaves.insert(value);
      continue;
    }
    if (!inside.insert(node).second) continue;
    powers +=
        node->is("Pow") || (node->is("Mul") && !constant_operand(rules, *node));
    cone.push_back(node);
    for (ir::Value* input : node->inputs()) open.push_back(input);
  }
  if (leaves.size() != 1 || powers == 0) return;
  ir::Value* x = const_cast<ir::Value*>(*leaves.begin());
  Nodes passed;
  ir::Node* last = finish_gate(rules, plus_one, x, passed);
  // Here the runtime knows (x / 2) * (1 + tanh) alone.
  if (!last || !passed[0]->output() || passed[0]->input(0) == nullptr ||
      variable_operand(rules, *passed[0]) != x)
    return;
  rules.fuse(last, {}, "FastGelu", kMicrosoftDomain, {x});
  for (ir::Node* node : cone) rules.inherit(last, node);
  for (ir::Node* node : passed) rules.inherit(last, node);
}

// x * sigmoid(alpha * x).
void fuse_sigmoid(RuleGraph& rules, ir::Node* sigmoid) {
  ir::Node* product = RuleGraph::only_user(sigmoid->output());
  if (!product || !product->is("Mul")) return;
  ir::Value* x = RuleGraph::other_input(*product, sigmoid->output());
  Nodes passed = {sigmoid};
  if (sigmoid->input(0) != x) {
    ir::Node* scale = RuleGraph::producer(sigmoid->input(0), "Mul");
    if (!scale || !constant_operand(rules, *scale) ||
        RuleGraph::only_user(scale->output()) != sigmoid ||
        variable_operand(rules, *scale) != x)
      return;
    passed.push_back(scale);
  }
  if (rules.constant(x)) return;
  rules.fuse(product, {}, "QuickGelu", kMicrosoftDomain, {x});
  for (ir::Node* node : passed) rules.inherit(product, node);
}

// Gelu(x + bias): one row of bias.
void fuse_bias_gelu(RuleGraph& rules, ir::Node* gelu) {
  ir::Node* add = RuleGraph::producer(gelu->input(0), "Add");
  if (!add || RuleGraph::only_user(add->output()) != gelu) return;
  for (size_t i = 0; i < 2; ++i) {
    auto bias = RuleGraph::dims(add->input(i));
    auto x = RuleGraph::dims(add->input(1 - i));
    if (!bias || !x || x->empty() || bias->size() != 1 ||
        bias->back() != x->back() || !rules.constant(add->input(i)))
      continue;
    rules.fuse(gelu, {add},
               gelu->op_type == "FastGelu" ? "FastGelu" : "BiasGelu",
               kMicrosoftDomain, {add->input(1 - i), add->input(i)});
    return;
  }
}

ir::Node* above(const ir::Value* value,
                std::initializer_list<const char*> ops) {
  ir::Node* node = value ? value->producer() : nullptr;
  if (!node || !node->domain.empty()) return nullptr;
  for (const char* op : ops)
    if (node->op_type == op) return node;
  return nullptr;
}

// mean(x^2) + epsilon, under a root: the nodes from the root up, or none.
Nodes root_mean_square(const RuleGraph& rules, const ir::Value* value,
                       const ir::Value* x) {
  ir::Node* root = above(value, {"Sqrt"});
  ir::Node* sum = root ? above(root->input(0), {"Add"}) : nullptr;
  if (!sum || !constant_operand(rules, *sum)) return {};
  ir::Node* mean = above(variable_operand(rules, *sum), {"ReduceMean"});
  ir::Node* square = mean ? above(mean->input(0), {"Pow", "Mul"}) : nullptr;
  if (!square || square->input(0) != x) return {};
  if (square->is("Pow") ? !near(rules.scalar(square->input(1)), 2)
                        : square->input(1) != x)
    return {};
  return {root, sum, mean, square};
}

// x - mean(x): the two nodes, or none.
Nodes centred(const ir::Value* value) {
  ir::Node* difference = above(value, {"Sub"});
  ir::Node* mean =
      difference ? above(difference->input(1), {"ReduceMean"}) : nullptr;
  if (!mean || mean->input(0) != difference->input(0)) return {};
  return {difference, mean};
}

// (d / sqrt(mean(d^2) + e)) or d * (1 / sqrt(…)): d and what divides it.
Nodes normalized(const RuleGraph& rules, ir::Node* quotient, ir::Value*& d) {
  if (!quotient) return {};
  if (quotient->is("Div")) {
    d = quotient->input(0);
    return root_mean_square(rules, quotient->input(1), d);
  }
  if (!quotient->is("Mul")) return {};
  for (size_t i = 0; i < 2; ++i) {
    ir::Node* inverse = above(quotient->input(i), {"Reciprocal", "Div"});
    if (!inverse) continue;
    d = quotient->input(1 - i);
    Nodes nodes =
        root_mean_square(rules, inverse->input(inverse->is("Div") ? 1 : 0), d);
    if (nodes.empty()) continue;
    nodes.insert(nodes.begin(), inverse);
    return nodes;
  }
  return {};
}

void fuse_normalization(RuleGraph& rules, ir::Node* scale) {
  if (!scale->is("Mul")) return;
  size_t weight = rules.constant(scale->input(1)) ? 1 : 0;
  if (!rules.constant(scale->input(weight))) return;
  ir::Node* quotient = scale->input(1 - weight)->producer();
  ir::Value* d = nullptr;
  Nodes nodes = normalized(rules, quotient, d);
  if (nodes.empty() || RuleGraph::only_user(quotient->output()) != scale)
    return;
  nodes.insert(nodes.begin(), quotient);
  Nodes centre = centred(d);
  ir::Node* add = RuleGraph::only_user(scale->output());
  if (!centre.empty() && add && add->is("Add") &&
      rules.constant(RuleGraph::other_input(*add, scale->output()))) {
    nodes.insert(nodes.end(), centre.begin(), centre.end());
    ir::Value* x = centre[0]->input(0);
    rules.fuse(add, {scale}, "LayerNormalization", "",
               {x, scale->input(weight),
                RuleGraph::other_input(*add, scale->output())});
    scale = add;
  } else if (centre.empty()) {
    rules.fuse(scale, {}, "SimplifiedLayerNormalization", "",
               {d, scale->input(weight)});
  } else {
    return;
  }
  for (ir::Node* node : nodes) rules.inherit(scale, node);
}

void fuse_skip(RuleGraph& rules, ir::Node* norm) {
  ir::Node* add = RuleGraph::producer(norm->input(0), "Add");
  if (!add || RuleGraph::only_user(add->output()) != norm) return;
  auto a = RuleGraph::dims(add->input(0)), b = RuleGraph::dims(add->input(1));
  if (!a || a != b || a->size() != 3) return;
  std::vector<ir::Value*> inputs = {add->input(0), add->input(1),
                                    norm->input(1), norm->input(2)};
  std::vector<ir::Node*> absorbed = {add};
  for (size_t i = 0; i < 2; ++i) {
    ir::Node* bias = RuleGraph::producer(add->input(i), "Add");
    if (!bias || RuleGraph::only_user(bias->output()) != add ||
        !rules.constant(bias->input(1)))
      continue;
    auto row = RuleGraph::dims(bias->input(1));
    if (!row || row->size() != 1 || row->back() != a->back()) continue;
    inputs[i] = bias->input(0);
    inputs.push_back(bias->input(1));
    absorbed.push_back(bias);
    break;
  }
  rules.fuse(norm, absorbed, "SkipLayerNormalization", kMicrosoftDomain,
             inputs);
}

}  // namespace

void fuse_gelus(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list()) {
    if (!RuleGraph::is_float(node->output())) continue;
    if (node->is("Erf")) fuse_erf(rules, node);
    if (node->is("Tanh")) fuse_tanh(rules, node);
    if (node->is("Sigmoid")) fuse_sigmoid(rules, node);
  }
  rules.remove_dead();
  for (ir::Node* node : rules.graph().node_list())
    if (node->is("Gelu", kMicrosoftDomain) ||
        node->is("FastGelu", kMicrosoftDomain))
      fuse_bias_gelu(rules, node);
}

void fuse_normalizations(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list())
    if (RuleGraph::is_float(node->output())) fuse_normalization(rules, node);
  rules.remove_dead();
}

void fuse_skips(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list())
    if (node->is("LayerNormalization") && RuleGraph::is_float(node->output()))
      fuse_skip(rules, node);
}

}  // namespace lathe::latency
