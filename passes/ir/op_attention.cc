// Attention of ai.onnx (opset 23) and its rotary embedding.
#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// Q, K, V as [batch, heads, sequence, size] or, with head counts in
// attributes, [batch, sequence, heads * size].
void infer_attention(InferContext& ctx) {
  DataType elem = ctx.elem(0);
  ctx.set(0, elem);
  for (size_t i = 1; i < 4; ++i) ctx.set(i, elem);
  auto rank = ctx.rank(0);
  if (!rank) return;
  if (*rank != 3 && *rank != 4)
    ctx.fail("Q has rank " + std::to_string(*rank) + ", but needs 3 or 4");
  bool flat = *rank == 3;
  Dim batch = ctx.dim(0, 0), q_heads, kv_heads, q_length, kv_length, qk_size,
      v_size;
  if (flat) {
    int64_t q = required_int(ctx, "q_num_heads");
    int64_t kv = required_int(ctx, "kv_num_heads");
    if (q <= 0 || kv <= 0) ctx.fail("head counts are not positive");
    q_heads = Dim(q);
    kv_heads = Dim(kv);
    q_length = ctx.dim(0, 1);
    kv_length = ctx.dim(1, 1);
    qk_size = divided(ctx, ctx.dim(0, 2), q);
    v_size = divided(ctx, ctx.dim(2, 2), kv);
  } else {
    q_heads = ctx.dim(0, 1);
    kv_heads = ctx.dim(1, 1);
    q_length = ctx.dim(0, 2);
    kv_length = ctx.dim(1, 2);
    qk_size = ctx.dim(0, 3);
    v_size = ctx.dim(2, 3);
  }
  Dim total = kv_length;
  if (ctx.has_input(4)) {
    Dim past = ctx.dim(4, 2);
    total = past.known() && kv_length.known()
                ? Dim(checked_add(ctx, past.value, kv_length.value))
                : Dim();
  }
  if (flat)
    ctx.set(0, elem, Shape{batch, q_length, product(ctx, {q_heads, v_size})});
  else
    ctx.set(0, elem, Shape{batch, q_heads, q_length, v_size});
  ctx.set(1, elem, Shape{batch, kv_heads, total, qk_size});
  ctx.set(2, elem, Shape{batch, kv_heads, total, v_size});
  ctx.set(3, elem, Shape{batch, q_heads, q_length, total});
}

// Scores and their product with V; the softmax between them.
Cost attention_cost(const Node& node) {
  const Value *q = node.input(0), *k = node.input(1), *v = node.input(2);
  if (!q || !k || !v || !q->type.shape) return {};
  bool flat = q->type.shape->size() == 3;
  int64_t batch = dim_value(q, 0);
  int64_t heads = flat ? node.attr_int("q_num_heads", 1) : dim_value(q, 1);
  int64_t queries = dim_value(q, flat ? 1 : 2);
  int64_t keys = dim_value(k, flat ? 1 : 2);
  if (node.input(4)) keys = plus(keys, dim_value(node.input(4), 2));
  int64_t out_size = elements(node.output(0));
  int64_t scores = times(times(batch, heads), times(queries, keys));
  int64_t macs = plus(times(elements(q), keys), times(out_size, keys));
  return mac_cost(macs, times(scores, 5));
}

constexpr Operator kRows[] = {
    {"Attention", "", OpClass::kCompute, 3, 7, 1, 4, infer_attention,
     attention_cost},
    {"RotaryEmbedding", "", OpClass::kElementwise, 3, 4, 1, 1, infer_same,
     cost_per_output<3>, true, &kUnfollowedAxes},
};

}  // namespace

std::span<const Operator> attention_operators() { return kRows; }

}  // namespace lathe::ir
