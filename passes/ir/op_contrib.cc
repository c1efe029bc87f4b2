// Operators of com.microsoft that ONNX Runtime's optimizer and exporters for
// it write: fused float operators, attention, weight-only quantization; and
// the blocked-layout domain com.microsoft.nchwc of optimized graphs.
#include <limits>

#include "passes/ir/op_attention.h"
#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_matmul.h"
#include "passes/ir/op_recurrent.h"
#include "passes/ir/op_window.h"

namespace lathe::ir {
namespace {

constexpr const char* kMs = "com.microsoft";
constexpr const char* kNchwc = "com.microsoft.nchwc";

void infer_nhwc_conv(InferContext& ctx) {
  infer_conv_as(ctx, 0, 1, ctx.elem(0), /*channels_last=*/true);
}

void infer_nhwc_pool(InferContext& ctx) {
  infer_pool_as(ctx, /*channels_last=*/true);
}

// Channels are padded to the block: they need not match the weight.
void infer_nchwc_conv(InferContext& ctx) {
  infer_conv_as(ctx, 0, 1, ctx.elem(0), /*channels_last=*/false,
                /*check_channels=*/false);
}

void infer_fused_matmul(InferContext& ctx) {
  auto turned = [&](size_t i, const char* trans, const char* trans_batch) {
    auto shape = ctx.shape_copy(i);
    if (!shape || shape->size() < 2) return shape;
    // A batch transpose moves the first axis behind the others.
    if (ctx.node().attr_int(trans_batch, 0) && shape->size() > 2) {
      Dim first = shape->front();
      shape->erase(shape->begin());
      shape->insert(shape->end() - 1, first);
    }
    if (ctx.node().attr_int(trans, 0))
      std::swap(shape->back(), (*shape)[shape->size() - 2]);
    return shape;
  };
  ctx.set(0, ctx.elem(0),
          matmul_shape(ctx, turned(0, "transA", "transBatchA"),
                       turned(1, "transB", "transBatchB")));
}

Cost fused_matmul_cost(const Node& node) {
  int64_t depth =
      dim_value(node.input(0), node.attr_int("transA", 0) ? -2 : -1);
  return mac_cost(times(elements(node.output(0)), depth));
}

// A [..., K] times a packed B of N columns, both sizes in attributes.
void infer_matmul_nbits(InferContext& ctx) {
  int64_t columns = required_int(ctx, "N"), depth = required_int(ctx, "K");
  if (columns <= 0 || depth <= 0)
    ctx.fail("attributes 'N' and 'K' are not positive");
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  if (shape->empty()) ctx.fail("cannot multiply a scalar");
  unify(ctx, shape->back(), Dim(depth), "columns of A and attribute K");
  shape->back() = Dim(columns);
  ctx.set(0, ctx.elem(0), shape);
}

// Y like X; statistics with the last axis 1; the sum of input and skip.
void infer_skip_layer_norm(InferContext& ctx) {
  infer_same(ctx);
  auto stats = ctx.shape_copy(0);
  if (stats && !stats->empty()) stats->back() = Dim(1);
  ctx.set(1, DataType::kFloat, stats);
  ctx.set(2, DataType::kFloat, stats);
  ctx.set(3, ctx.elem(0), ctx.shape_copy(0));
}

// input_ids [batch, sequence] -> [batch, sequence, hidden], mask [batch].
void infer_embed_layer_norm(InferContext& ctx) {
  ctx.set(0, ctx.elem(2), Shape{ctx.dim(0, 0), ctx.dim(0, 1), ctx.dim(2, 1)});
  ctx.set(1, DataType::kInt32, Shape{ctx.dim(0, 0)});
}

// input [batch, sequence, in], weights [in, 3 * hidden].
void infer_ms_attention(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  Dim hidden;
  auto sizes = ctx.node().attr_ints("qkv_hidden_sizes");
  if (sizes.size() == 3) {
    if (sizes[2] <= 0)
      ctx.fail("attribute 'qkv_hidden_sizes' has the value " +
               std::to_string(sizes[2]));
    hidden = Dim(sizes[2]);
  } else if (Dim width = ctx.dim(1, 1); width.known()) {
    hidden = divided(ctx, width, 3);
  }
  ctx.set(0, ctx.elem(0), Shape{ctx.dim(0, 0), ctx.dim(0, 1), hidden});
}

// query [batch, sequence, hidden] and separate keys and values.
void infer_multi_head_attention(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  if (!ctx.rank(0) || *ctx.rank(0) != 3) return;
  auto shape = ctx.shape_copy(0);
  if (ctx.rank(2) && *ctx.rank(2) == 3 &&
      ctx.node().op_type == "MultiHeadAttention")
    shape->back() = ctx.dim(2, 2);
  ctx.set(0, ctx.elem(0), shape);
}

Cost multi_head_attention_cost(const Node& node) {
  const Value* key = node.input(1);
  int64_t keys = key && key->type.shape && key->type.shape->size() == 4
                     ? dim_value(key, 2)
                     : dim_value(key ? key : node.input(0), 1);
  return mac_cost(
      times(plus(elements(node.input(0)), elements(node.output(0))), keys));
}

void infer_reorder_output(InferContext& ctx) {
  auto shape = ctx.shape_copy(0);
  if (shape && shape->size() == 4) {
    int64_t channels = ctx.node().attr_int("channels", 0);
    Dim count = channels > 0 ? Dim(channels) : Dim();
    (*shape)[1] = count;
    if (ctx.node().attr_int("channels_last", 0)) {
      shape->erase(shape->begin() + 1);
      shape->push_back(count);
    }
  }
  ctx.set(0, ctx.elem(0), shape);
}

// Channels after padding to the machine's block of 8 or 16, which the node does
// not say: a multiple of 16 stays, else a Conv that reads them tells.
Dim blocked_channels(const InferContext& ctx, const Dim& channels) {
  if (channels.known() && channels.value % 16 == 0) return channels;
  const Value* output = ctx.node().output(0);
  if (!output) return Dim();
  for (const Use& use : output->uses()) {
    if (use.index != 0 || !use.node->is("Conv", kNchwc)) continue;
    const Value* weight = use.node->input(1);
    if (!weight || !weight->type.shape || weight->type.shape->size() < 2)
      continue;
    int64_t group = use.node->attr_int("group", 1);
    return scaled(ctx, (*weight->type.shape)[1], group);
  }
  return Dim();
}

void infer_reorder_input(InferContext& ctx) {
  auto shape = ctx.shape_copy(0);
  if (shape && shape->size() == 4) {
    if (ctx.node().attr_int("channels_last", 0)) {
      Dim last = shape->back();
      shape->pop_back();
      shape->insert(shape->begin() + 1, last);
    }
    (*shape)[1] = blocked_channels(ctx, (*shape)[1]);
  }
  ctx.set(0, ctx.elem(0), shape);
}

void infer_nchwc_upsample(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  auto scales = ctx.node().attr_ints("scales");
  if (!shape || shape->size() != scales.size()) return;
  for (size_t i = 0; i < scales.size(); ++i)
    (*shape)[i] = scaled(ctx, (*shape)[i], scales[i]);
  ctx.set(0, ctx.elem(0), shape);
}

void infer_bias_split_gelu(InferContext& ctx) {
  auto shape = ctx.shape_copy(0);
  if (shape && !shape->empty())
    shape->back() =
        shape->back().known() ? divided(ctx, shape->back(), 2) : Dim();
  ctx.set(0, ctx.elem(0), shape);
}

constexpr Operator row(const char* name, OpClass op_class, int min_inputs,
                       int max_inputs, int max_outputs,
                       void (*infer)(InferContext&),
                       Cost (*cost)(const Node&) = nullptr,
                       const char* domain = kMs,
                       const AxisRule* axes = nullptr) {
  return {name,        domain, op_class, min_inputs, max_inputs, 1,
          max_outputs, infer,  cost,     true,       axes};
}

constexpr auto kCompute = OpClass::kCompute;
constexpr auto kElementwise = OpClass::kElementwise;
constexpr auto kNorm = OpClass::kNormalization;

constexpr Operator kRows[] = {
    row("FusedConv", kCompute, 2, 4, 1, infer_conv, conv_cost),
    row("NhwcConv", kCompute, 2, 3, 1, infer_nhwc_conv, conv_cost),
    row("NhwcFusedConv", kCompute, 2, 4, 1, infer_nhwc_conv, conv_cost),
    row("FusedGemm", kCompute, 2, 3, 1, infer_gemm, gemm_cost),
    row("FusedMatMul", kCompute, 2, 2, 1, infer_fused_matmul,
        fused_matmul_cost),
    row("FusedMatMulActivation", kCompute, 2, 2, 1, infer_fused_matmul,
        fused_matmul_cost),
    row("TransposeMatMul", kCompute, 2, 2, 1, infer_fused_matmul,
        fused_matmul_cost),
    row("MatMulNBits", kCompute, 3, 6, 1, infer_matmul_nbits, matmul_cost),
    row("MatMulBnb4", kCompute, 3, 3, 1, infer_matmul_nbits, matmul_cost),
    row("Attention", kCompute, 2, 7, 2, infer_ms_attention, ms_attention_cost),
    row("MultiHeadAttention", kCompute, 1, 10, 4, infer_multi_head_attention,
        multi_head_attention_cost),
    row("GroupQueryAttention", kCompute, 1, 14, 4, infer_multi_head_attention,
        multi_head_attention_cost),
    row("ConvTransposeWithDynamicPads", kCompute, 2, 4, 1, nullptr,
        conv_transpose_cost),
    row("Gelu", kElementwise, 1, 1, 1, infer_same, cost_per_output<5>),
    row("FastGelu", kElementwise, 1, 2, 1, infer_same, cost_per_output<8>),
    row("BiasGelu", kElementwise, 2, 2, 1, infer_same, cost_per_output<6>),
    row("QuickGelu", kElementwise, 1, 1, 1, infer_same, cost_per_output<6>),
    row("BiasSplitGelu", kElementwise, 2, 2, 1, infer_bias_split_gelu,
        cost_per_output<7>, kMs, &kUnfollowedAxes),
    row("BiasAdd", kElementwise, 3, 3, 1, infer_same, cost_per_output<2>),
    row("BiasDropout", kElementwise, 2, 5, 2, infer_same, cost_per_output<1>),
    row("BiasSoftmax", kNorm, 2, 2, 1, infer_same, cost_per_output<6>),
    row("SkipLayerNormalization", kNorm, 3, 5, 4, infer_skip_layer_norm,
        cost_per_output<9>),
    row("SkipSimplifiedLayerNormalization", kNorm, 3, 4, 4,
        infer_skip_layer_norm, cost_per_output<6>),
    row("SkipGroupNorm", kNorm, 4, 5, 2, infer_same, cost_per_output<8>),
    row("GroupNorm", kNorm, 3, 3, 1, infer_same, cost_per_output<7>),
    row("EmbedLayerNormalization", kNorm, 7, 9, 3, infer_embed_layer_norm,
        cost_per_output<9>),
    row("RotaryEmbedding", kElementwise, 4, 4, 1, infer_same,
        cost_per_output<3>, kMs, &kUnfollowedAxes),
    row("Trilu", OpClass::kDataMovement, 1, 2, 1, infer_same),
    row("NhwcMaxPool", OpClass::kPooling, 1, 1, 1, infer_nhwc_pool, pool_cost),
    row("Pad", OpClass::kDataMovement, 2, 3, 1, nullptr),
    row("GatherBlockQuantized", OpClass::kQuantization, 3, 4, 1, nullptr),
    row("Inverse", OpClass::kOther, 1, 1, 1, infer_same),

    row("Conv", kCompute, 2, 4, 1, infer_nchwc_conv, conv_cost, kNchwc),
    row("MaxPool", OpClass::kPooling, 1, 1, 1, infer_pool, pool_cost, kNchwc),
    row("AveragePool", OpClass::kPooling, 1, 1, 1, infer_pool, pool_cost,
        kNchwc),
    row("GlobalMaxPool", OpClass::kPooling, 1, 1, 1, infer_global_pool,
        cost_per_input<1>, kNchwc),
    row("GlobalAveragePool", OpClass::kPooling, 1, 1, 1, infer_global_pool,
        cost_per_input<1>, kNchwc),
    row("ReorderInput", OpClass::kDataMovement, 1, 1, 1, infer_reorder_input,
        nullptr, kNchwc),
    row("ReorderOutput", OpClass::kDataMovement, 1, 1, 1, infer_reorder_output,
        nullptr, kNchwc),
    row("Upsample", OpClass::kDataMovement, 1, 1, 1, infer_nchwc_upsample,
        nullptr, kNchwc),
};

}  // namespace

Cost ms_attention_cost(const Node& node) {
  int64_t tokens =
      times(dim_value(node.input(0), 0), dim_value(node.input(0), 1));
  int64_t projection = times(tokens, elements(node.input(1)));
  int64_t keys = dim_value(node.input(0), 1);
  int64_t products = times(times(elements(node.output(0)), keys), 2);
  int64_t heads = node.attr_int("num_heads", 1);
  return mac_cost(plus(projection, products),
                  times(times(times(tokens, keys), heads), 5));
}

std::span<const Operator> contrib_operators() { return kRows; }

}  // namespace lathe::ir
