// Gemm, MatMul and their integer forms.
#include "passes/ir/op_matmul.h"

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"

namespace lathe::ir {
namespace {

void infer_matmul_integer(InferContext& ctx) {
  infer_matmul_as(ctx, 0, 1, DataType::kInt32);
}

void infer_qlinear_matmul(InferContext& ctx) {
  infer_matmul_as(
      ctx, 0, 3,
      ctx.elem(7) != DataType::kUndefined ? ctx.elem(7) : ctx.elem(0));
}

void infer_det(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  if (shape->size() < 2)
    ctx.fail("input has rank " + std::to_string(shape->size()) +
             ", but needs at least 2");
  unify(ctx, (*shape)[shape->size() - 2], shape->back(),
        "rows and columns of the matrices");
  shape->resize(shape->size() - 2);
  ctx.set(0, ctx.elem(0), shape);
}

constexpr Operator kRows[] = {
    {"Gemm", "", OpClass::kCompute, 2, 3, 1, 1, infer_gemm, gemm_cost, true,
     &kGemmAxes},
    {"MatMul", "", OpClass::kCompute, 2, 2, 1, 1, infer_matmul, matmul_cost,
     true, &kMatMulAxes},
    {"MatMulInteger", "", OpClass::kCompute, 2, 4, 1, 1, infer_matmul_integer,
     matmul_cost},
    {"QLinearMatMul", "", OpClass::kCompute, 8, 8, 1, 1, infer_qlinear_matmul,
     [](const Node& node) {
       Cost cost = matmul_cost(node);
       cost.flops = plus(cost.flops, times(elements(node.output(0)), 2));
       return cost;
     }},
    {"Einsum", "", OpClass::kCompute, 1, -1, 1, 1, infer_einsum, einsum_cost,
     true, &kEinsumAxes},
    {"Det", "", OpClass::kOther, 1, 1, 1, 1, infer_det, nullptr},
};

}  // namespace

std::optional<Shape> matmul_shape(const InferContext& ctx,
                                  const std::optional<Shape>& a,
                                  const std::optional<Shape>& b) {
  if (!a || !b) return std::nullopt;
  if (a->empty() || b->empty()) ctx.fail("cannot multiply a scalar");
  Shape left = *a, right = *b;
  if (a->size() == 1) left.insert(left.begin(), Dim(1));
  if (b->size() == 1) right.push_back(Dim(1));
  unify(ctx, left.back(), right[right.size() - 2],
        "columns of A and rows of B");
  Dim rows = left[left.size() - 2], columns = right.back();
  left.resize(left.size() - 2);
  right.resize(right.size() - 2);
  Shape out = broadcast(ctx, left, right);
  if (a->size() > 1) out.push_back(rows);
  if (b->size() > 1) out.push_back(columns);
  return out;
}

void infer_matmul_as(InferContext& ctx, size_t a, size_t b, DataType elem) {
  ctx.set(0, elem, matmul_shape(ctx, ctx.shape_copy(a), ctx.shape_copy(b)));
}

void infer_matmul(InferContext& ctx) {
  infer_matmul_as(ctx, 0, 1, ctx.elem(0));
}

void infer_gemm_as(InferContext& ctx, size_t a, size_t b, DataType elem) {
  ctx.set(0, elem);
  for (size_t i : {a, b})
    if (ctx.rank(i) && *ctx.rank(i) != 2)
      ctx.fail("input " + std::to_string(i) + " has rank " +
               std::to_string(*ctx.rank(i)) + ", but needs rank 2");
  bool trans_a = ctx.node().attr_int("transA", 0) != 0;
  bool trans_b = ctx.node().attr_int("transB", 0) != 0;
  unify(ctx, ctx.dim(a, trans_a ? 0 : 1), ctx.dim(b, trans_b ? 1 : 0),
        "columns of A and rows of B");
  ctx.set(0, elem,
          Shape{ctx.dim(a, trans_a ? 1 : 0), ctx.dim(b, trans_b ? 0 : 1)});
}

void infer_gemm(InferContext& ctx) { infer_gemm_as(ctx, 0, 1, ctx.elem(0)); }

Cost matmul_cost_with(const Node& node, size_t a) {
  return mac_cost(
      times(elements(node.output(0)), dim_value(node.input(a), -1)));
}

Cost matmul_cost(const Node& node) { return matmul_cost_with(node, 0); }

Cost gemm_cost(const Node& node) {
  int64_t depth = dim_value(node.input(0), node.attr_int("transA", 0) ? 0 : 1);
  int64_t outputs = elements(node.output(0));
  return mac_cost(times(outputs, depth), node.input(2) ? outputs : 0);
}

std::span<const Operator> matmul_operators() { return kRows; }

}  // namespace lathe::ir
