#include <algorithm>

#include "calibration/latency/kernel_rules_transpose.h"

namespace lathe::latency {
namespace {

ir::Node* sibling(ir::Value* value, const Perm& perm) {
  for (const ir::Use& use : value->uses())
    if (&use.node->graph() == &value->graph() && perm_of(use.node) == perm)
      return use.node;
  return nullptr;
}

}  // namespace

Perm inverse(const Perm& perm) {
  Perm result(perm.size());
  for (size_t i = 0; i < perm.size(); ++i)
    result[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  return result;
}

Perm compose(const Perm& a, const Perm& b) {
  Perm result;
  for (int64_t axis : b) result.push_back(a[static_cast<size_t>(axis)]);
  return result;
}

bool is_identity(const Perm& perm) {
  for (size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != static_cast<int64_t>(i)) return false;
  return true;
}

ir::ValueType permuted(ir::ValueType type, const Perm& perm) {
  if (!type.shape || type.shape->size() != perm.size()) return type;
  ir::Shape shape;
  for (int64_t axis : perm)
    shape.push_back((*type.shape)[static_cast<size_t>(axis)]);
  type.shape = shape;
  return type;
}

std::optional<Perm> perm_of(const ir::Node* node) {
  if (!node || !node->is("Transpose")) return std::nullopt;
  auto dims = RuleGraph::dims(node->input(0));
  if (!dims) return std::nullopt;
  Perm perm = node->attr_ints("perm");
  if (perm.empty())
    for (size_t i = dims->size(); i-- > 0;)
      perm.push_back(static_cast<int64_t>(i));
  if (perm.size() != dims->size()) return std::nullopt;
  std::vector<bool> seen(perm.size());
  for (int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(perm.size()) ||
        seen[static_cast<size_t>(axis)])
      return std::nullopt;
    seen[static_cast<size_t>(axis)] = true;
  }
  return perm;
}

Perm channels_last(size_t rank) {
  Perm perm = {0};
  for (size_t i = 2; i < rank; ++i) perm.push_back(static_cast<int64_t>(i));
  perm.push_back(1);
  return perm;
}

Perm squeezed(const Perm& perm, const std::vector<int64_t>& axes) {
  Perm kept;
  std::vector<int64_t> rank_of(perm.size(), -1);
  int64_t next = 0;
  for (size_t i = 0; i < perm.size(); ++i)
    if (std::ranges::find(axes, static_cast<int64_t>(i)) == axes.end())
      rank_of[i] = next++;
  for (int64_t axis : perm)
    if (rank_of[static_cast<size_t>(axis)] >= 0)
      kept.push_back(rank_of[static_cast<size_t>(axis)]);
  return kept;
}

std::optional<Perm> perm_of_reshape(const std::vector<int64_t>& in,
                                    const std::vector<int64_t>& out) {
  if (in.size() != out.size()) return std::nullopt;
  Perm perm;
  std::vector<bool> used(in.size());
  for (int64_t dim : out) {
    size_t at = 0;
    for (;; ++at) {
      if (at == in.size()) return std::nullopt;
      if (used[at]) continue;
      if (in[at] == dim) break;
      if (in[at] != 1 && dim != 1) return std::nullopt;
    }
    used[at] = true;
    perm.push_back(static_cast<int64_t>(at));
  }
  return perm;
}

std::optional<Perm> perm_behind_split(const std::vector<int64_t>& in,
                                      const std::vector<int64_t>& out,
                                      const Perm& perm) {
  if (out.size() <= in.size() || perm.size() != in.size()) return std::nullopt;
  size_t more = out.size() - in.size(), at = 0;
  while (at < in.size() && in[at] == out[at]) ++at;
  if (at == in.size() ||
      !std::equal(in.begin() + static_cast<std::ptrdiff_t>(at) + 1, in.end(),
                  out.begin() + static_cast<std::ptrdiff_t>(at + more) + 1))
    return std::nullopt;
  // Where each axis starts before the Transpose, the split one taking several.
  int64_t next = 0;
  std::vector<int64_t> starts(in.size());
  for (int64_t source : inverse(perm)) {
    size_t axis = static_cast<size_t>(source);
    starts[axis] = next;
    next += axis == at ? static_cast<int64_t>(more) + 1 : 1;
  }
  Perm wide;
  for (size_t axis = 0; axis < in.size(); ++axis)
    for (size_t k = 0; k < (axis == at ? more + 1 : 1); ++k)
      wide.push_back(starts[axis] + static_cast<int64_t>(k));
  return wide;
}

bool TransposeMover::is_constant(const ir::Value* value) const {
  if (rules_.constant(value)) return true;
  const ir::Node* node = value->producer();
  return node && node->op_type == "DequantizeLinear" &&
         rules_.constant(node->input(0)) && value->uses().size() == 1;
}

ir::Node* TransposeMover::add_transpose(ir::Value* from, const Perm& perm,
                                        ir::Node* before) {
  ir::Node* node = rules_.insert("Transpose", "", {from},
                                 permuted(from->type, perm), before);
  node->set_attr("perm", perm);
  return node;
}

void TransposeMover::drop_if_unused(ir::Node* node) {
  if (node && node->output()->unused()) rules_.graph().remove_node(node);
}

void TransposeMover::transpose_input(ir::Node* node, size_t i,
                                     const Perm& perm) {
  ir::Value* value = node->input(i);
  if (!value || is_identity(perm)) return;
  if (is_constant(value)) {
    // Its bytes change before the first run; its users may be several.
    ir::Node* dequantize = value->producer();
    if (dequantize && dequantize->op_type == "DequantizeLinear") {
      dequantize->set_input(
          0, rules_.constant_like(permuted(dequantize->input(0)->type, perm)));
      value->type = permuted(value->type, perm);
    } else {
      node->set_input(i, rules_.constant_like(permuted(value->type, perm)));
    }
    return;
  }
  ir::Node* before = value->producer();
  if (std::optional<Perm> other = perm_of(before)) {
    Perm both = compose(*other, perm);
    ir::Value* source = before->input(0);
    if (is_identity(both)) {
      node->set_input(i, source);
    } else {
      ir::Node* merged = sibling(source, both);
      if (!merged) merged = add_transpose(source, both, node);
      node->set_input(i, merged->output());
    }
    drop_if_unused(before);
    return;
  }
  // In front of a DequantizeLinear, where another Transpose stands.
  if (before && before->op_type == "DequantizeLinear" &&
      RuleGraph::only_user(value) == node && before->input(0) &&
      perm_of(before->input(0)->producer())) {
    transpose_input(before, 0, perm);
    value->type = permuted(value->type, perm);
    return;
  }
  ir::Node* same = sibling(value, perm);
  if (!same) same = add_transpose(value, perm, node);
  node->set_input(i, same->output());
}

void TransposeMover::transpose_output(ir::Node* node, size_t i,
                                      const Perm& perm, ir::Node* next) {
  ir::Value* value = node->output(i);
  if (!value || is_identity(perm) || value->unused()) return;
  ir::ValueType outer = value->type;
  ir::Node* transpose = rules_.insert("Transpose", "", {}, outer, next);
  transpose->set_attr("perm", perm);
  rules_.graph().replace_all_uses(value, transpose->output());
  value->type = permuted(outer, inverse(perm));
  transpose->set_input(0, value);
}

void TransposeMover::move(ir::Node* node, const Perm& perm,
                          const std::vector<size_t>& inputs,
                          const Perm& out_perm, ir::Node* next) {
  Perm back = inverse(perm);
  for (size_t index : inputs) transpose_input(node, index, back);
  for (size_t i = 0; i < node->outputs().size(); ++i)
    transpose_output(node, i, out_perm, next);
}

bool TransposeMover::widen_inputs(ir::Node* node, size_t rank,
                                  const std::vector<size_t>& inputs) {
  for (size_t index : inputs) {
    auto dims = RuleGraph::dims(node->input(index));
    if (!dims || dims->size() > rank) return false;
  }
  for (size_t index : inputs) {
    ir::Value* value = node->input(index);
    auto dims = RuleGraph::dims(value);
    if (dims->size() == rank) continue;
    ir::ValueType type = value->type;
    std::vector<int64_t> wide(rank - dims->size(), 1);
    wide.insert(wide.end(), dims->begin(), dims->end());
    type.shape = ir::to_shape(wide);
    if (rules_.constant(value)) {
      node->set_input(index, rules_.constant_like(type));
      continue;
    }
    ir::Node* dequantize = value->producer();
    if (dequantize && is_constant(value)) {
      ir::ValueType codes = dequantize->input(0)->type;
      codes.shape = type.shape;
      dequantize->set_input(0, rules_.constant_like(codes));
      value->type = type;
      continue;
    }
    ir::ValueType axes;
    axes.elem = ir::DataType::kInt64;
    axes.shape = ir::to_shape({static_cast<int64_t>(rank - dims->size())});
    ir::Node* unsqueeze = rules_.insert(
        "Unsqueeze", "", {value, rules_.constant_like(axes)}, type, node);
    node->set_input(index, unsqueeze->output());
  }
  return true;
}

}  // namespace lathe::latency
