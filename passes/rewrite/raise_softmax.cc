// Softmax, LogSoftmax and Hardmax before opset 13 see x as a matrix: the
// dimensions before `axis` (default 1) as rows, those from it on as columns.
// From 13 on they work along one axis (default -1).
//
//   before: y = Softmax(x) axis=a                      (coerced to 2-D)
//   after:  y = Softmax(x) axis=k                      where of the dimensions
//               from a on only k differs from 1
//           y = Reshape(Softmax(Flatten(x) axis=a) axis=-1, shape of x)  else
#include <algorithm>

#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/raise_steps.h"

namespace lathe::rewrite {
namespace {

// The one axis that the coerced columns amount to.
std::optional<int64_t> single_axis(const ir::Value& x, int64_t axis) {
  if (!x.type.shape) return std::nullopt;
  const ir::Shape& shape = *x.type.shape;
  auto rank = static_cast<int64_t>(shape.size());
  auto from = normalize_axis(axis, rank);
  if (!from) return std::nullopt;
  int64_t found = rank - 1, wide = 0;
  for (int64_t i = *from; i < rank; ++i) {
    if (shape[static_cast<size_t>(i)].value == 1) continue;
    found = i;
    ++wide;
  }
  return wide <= 1 ? std::optional(found) : std::nullopt;
}

// The shape of x as a Reshape's target; a node where two dimensions or more
// are unknown.
ir::Value* shape_of(RaiseStep& step, ir::Value* x) {
  if (x->type.shape) {
    std::vector<int64_t> dims = ir::to_dims(*x->type.shape);
    bool has_zero = std::ranges::count(dims, 0) > 0;
    if (std::ranges::count(dims, -1) <= 1 && !has_zero)
      return step.constant("shape", ir::Tensor::vector_i64(dims));
  }
  return step.insert("Shape", {x}, "shape")->output();
}

}  // namespace

void raise_softmax_13(RaiseStep& step) {
  ir::Node& node = step.node;
  step.require_own("axis");
  int64_t axis = node.attr_int("axis", 1);
  ir::Value* x = node.input(0);
  if (!x) step.fail("its input is missing");
  if (auto single = single_axis(*x, axis)) {
    auto last = static_cast<int64_t>(x->type.shape->size()) - 1;
    node.set_attr("axis", *single == last ? int64_t{-1} : *single);
    return;
  }
  ir::Value* shape = shape_of(step, x);
  ir::Node* flat = step.insert("Flatten", {x}, "flatten");
  flat->set_attr("axis", axis);
  ir::Node* inner = step.insert(node.op_type, {flat->output()}, "columns");
  inner->set_attr("axis", int64_t{-1});
  flat->output()->type.elem = inner->output()->type.elem = x->type.elem;
  // The node itself becomes the last of the three, so that its output stays.
  node.op_type = "Reshape";
  node.remove_attribute("axis");
  node.set_input(0, inner->output());
  node.set_input(1, shape);
  step.remark(inner->op_type +
              " over more than one dimension became Flatten, " +
              inner->op_type + " and Reshape");
}

}  // namespace lathe::rewrite
