// Attention, and dropout as it is in inference.
#include <cmath>
#include <limits>

#include "passes/io/torch/aten/aten_composites.h"
#include "passes/io/torch/aten/aten_families.h"
#include "passes/io/torch/aten/aten_vector_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;
using Sizes = std::vector<int64_t>;

// --- scaled dot product attention ---

struct Attention {
  Value *query, *key, *value;  // [..., L, E], [..., S, E], [..., S, Ev]
  // Broadcast to [..., L, S]; either may be null.
  Value* bias = nullptr;  // added to the scores
  Value* keep = nullptr;  // bool: which scores count
  bool causal = false;
  Argument scale = {};  // a number; none is 1 / sqrt(E)
};

struct Attended {
  Value *output, *weights;
};

Value* scaled_query(OnnxBuilder& builder, const Attention& a) {
  const DataType type = builder.elem(a.query);
  if (a.scale.is_number())
    return builder.op("Mul", {a.query, builder.as_tensor(a.scale, type)});
  const Argument size = builder.size(a.query, builder.rank(a.query) - 1);
  if (size.is_constant())
    return builder.op(
        "Mul",
        {a.query, builder.scalar(
                      type, 1 / std::sqrt(static_cast<double>(size.integer)))});
  Value* root = builder.op("Sqrt", {builder.cast(size.value, type)});
  return builder.op("Div", {a.query, root});
}

// -infinity above the diagonal of [L, S], zero elsewhere.
Value* causal_bias(OnnxBuilder& builder, const Attention& a) {
  auto rows = [&](Value* x) { return builder.size(x, builder.rank(x) - 2); };
  Value* shape =
      builder.int_vector(std::vector<Argument>{rows(a.query), rows(a.key)});
  Value* all =
      builder.expand(builder.scalar(DataType::kFloat,
                                    -std::numeric_limits<double>::infinity()),
                     shape);
  return builder.cast(builder.op("Trilu", {all, builder.scalar_int(1)}),
                      builder.elem(a.query));
}

// A row without any score that counts gives zeros, as PyTorch has it since 2.5.
Attended attend(OnnxBuilder& builder, const Attention& a) {
  const DataType type = builder.elem(a.query);
  Value* scores = builder.op(
      "MatMul", {scaled_query(builder, a), swap_last_axes(builder, a.key)});
  if (a.causal) scores = builder.op("Add", {scores, causal_bias(builder, a)});
  if (a.bias) scores = builder.op("Add", {scores, builder.cast(a.bias, type)});
  if (a.keep)
    scores = builder.op(
        "Where", {a.keep, scores, builder.scalar(type, lowest_of(type))});
  Value* weights = builder.op("Softmax", {scores}, {{"axis", int64_t{-1}}});
  if (a.keep)
    weights = builder.op("Where", {a.keep, weights, builder.scalar(type, 0)});
  return {builder.op("MatMul", {weights, a.value}), weights};
}

// Keys or values with as many heads (third axis from the end) as the query:
// each stands `times` after another.
Value* repeat_heads(const AtenCall& call, Value* x, Value* query) {
  OnnxBuilder& builder = call.builder();
  const int64_t rank = builder.rank(x);
  if (rank < 3 || rank != builder.rank(query))
    call.unsupported("grouped heads with tensors of rank " +
                     std::to_string(rank) + " and " +
                     std::to_string(builder.rank(query)));
  const int64_t heads = builder.dim(query, rank - 3, "the number of heads");
  const int64_t own = builder.dim(x, rank - 3, "the number of heads");
  if (own == heads) return x;
  if (own < 1 || heads % own != 0)
    call.unsupported("the query has " + std::to_string(heads) +
                     " heads, which is no multiple of " + std::to_string(own) +
                     " heads of keys and values");
  std::vector<Argument> sizes;
  for (int64_t axis = 0; axis < rank; ++axis)
    sizes.push_back(axis == rank - 3 ? Argument::of_int(heads)
                                     : builder.size(x, axis));
  Sizes times(static_cast<size_t>(rank) + 1, 1);
  times[static_cast<size_t>(rank) - 2] = heads / own;
  Value* repeated =
      builder.expand(builder.unsqueeze(x, {rank - 2}), builder.ints(times));
  return builder.reshape(repeated, builder.int_vector(sizes));
}

Attended scaled_dot_product(const AtenCall& call) {
  if (call.real("dropout_p", 0) > 0)
    call.unsupported("argument 'dropout_p' is above 0, as in training",
                     kEvalHint);
  Attention a;
  a.query = call.tensor("query");
  a.key = call.tensor("key");
  a.value = call.tensor("value");
  a.causal = call.flag("is_causal", false);
  a.scale = call["scale"];
  if (call.flag("enable_gqa", false)) {
    a.key = repeat_heads(call, a.key, a.query);
    a.value = repeat_heads(call, a.value, a.query);
  }
  Value* mask =
      call.tensor_or_null(call.given("attn_bias") ? "attn_bias" : "attn_mask");
  if (mask)
    (call.builder().elem(mask) == DataType::kBool ? a.keep : a.bias) = mask;
  return attend(call.builder(), a);
}

// The other results are for the backward pass.
template <size_t kResults>
Arguments emit_scaled_dot_product(const AtenCall& call) {
  Arguments results = one(scaled_dot_product(call).output);
  results.resize(kResults);
  return results;
}

Arguments emit_scaled_dot_product_weights(const AtenCall& call) {
  const Attended attended = scaled_dot_product(call);
  return {Argument::tensor(attended.output),
          Argument::tensor(attended.weights)};
}

Arguments emit_scaled_dot_product_1_13(const AtenCall& call) {
  Arguments results = emit_scaled_dot_product_weights(call);
  if (!call.flag("need_attn_weights", false)) results[1] = Argument::none();
  return results;
}

// --- multi-head attention in one call ---

// [N, L, heads·size] -> [N, heads, L, size]
Value* split_heads(OnnxBuilder& builder, Value* x, int64_t heads,
                   int64_t size) {
  Value* parts = builder.op("Reshape", {x, builder.ints({0, 0, heads, size})});
  return builder.transpose(parts, {0, 2, 1, 3});
}

struct Projected {
  Value *query, *key, *value;  // [N, L, D] each
};

// The three projections lie one below the other in one weight.
Projected project(const AtenCall& call, Value* query, Value* key, Value* value,
                  int64_t embed_dim) {
  OnnxBuilder& builder = call.builder();
  Value* weight = call.tensor("qkv_weight");
  Value* bias = call.tensor("qkv_bias");
  if (query == key && key == value) {
    const auto parts =
        builder.op_n("Split", {linear(builder, query, weight, bias)}, 3,
                     {{"axis", int64_t{-1}}});
    return {parts[0], parts[1], parts[2]};
  }
  auto part = [&](Value* x, int64_t index) {
    const int64_t begin = index * embed_dim, end = begin + embed_dim;
    return linear(builder, x, builder.slice(weight, 0, begin, end),
                  builder.slice(bias, 0, begin, end));
  };
  return {part(query, 0), part(key, 1), part(value, 2)};
}

// The mask says which scores do not count; its type: 0 is [L, S], 1 is
// [N, S], 2 is [N, heads, L, S]. LibTorch 1.12, which passes no type, takes two
// dimensions for the second.
Value* kept_scores(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* mask = call.tensor_or_null("mask");
  if (!mask) return nullptr;
  if (call.integer("mask_type", 1) == 1 && builder.rank(mask) == 2)
    mask = builder.unsqueeze(mask, {1, 2});
  return builder.op("Not", {builder.cast(mask, DataType::kBool)});
}

Attended multi_head(const AtenCall& call, Value* query, Value* key,
                    Value* value, int64_t heads) {
  OnnxBuilder& builder = call.builder();
  const int64_t embed_dim = call.integer("embed_dim");
  if (heads < 1 || embed_dim < 1 || embed_dim % heads != 0)
    call.unsupported("argument 'embed_dim' is " + std::to_string(embed_dim) +
                     ", expected a multiple of the " + std::to_string(heads) +
                     " heads");
  const int64_t size = embed_dim / heads;
  const Projected p = project(call, query, key, value, embed_dim);
  Attention a;
  a.query = split_heads(builder, p.query, heads, size);
  a.key = split_heads(builder, p.key, heads, size);
  a.value = split_heads(builder, p.value, heads, size);
  a.keep = kept_scores(call);
  const Attended attended = attend(builder, a);
  Value* joined =
      builder.op("Reshape", {builder.transpose(attended.output, {0, 2, 1, 3}),
                             builder.ints({0, 0, embed_dim})});
  return {linear(builder, joined, call.tensor("proj_weight"),
                 call.tensor("proj_bias")),
          attended.weights};
}

Arguments emit_multi_head_attention(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const Attended attended =
      multi_head(call, call.tensor("query"), call.tensor("key"),
                 call.tensor("value"), call.integer("num_head"));
  if (!call.flag("need_weights", true))
    return {Argument::tensor(attended.output), Argument::none()};
  Value* weights = attended.weights;
  if (call.flag("average_attn_weights", true))
    weights = builder.reduce("ReduceMean", weights, {1}, /*keep_dims=*/false);
  return {Argument::tensor(attended.output), Argument::tensor(weights)};
}

// x · Φ(x)
Value* gelu(OnnxBuilder& builder, Value* x) {
  const DataType type = builder.elem(x);
  Value* erf = builder.op(
      "Erf", {builder.op("Mul", {x, builder.scalar(type, std::sqrt(0.5))})});
  Value* twice = builder.op("Add", {erf, builder.scalar(type, 1)});
  return builder.op("Mul",
                    {builder.op("Mul", {x, twice}), builder.scalar(type, 0.5)});
}

Arguments emit_transformer_encoder_layer(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  const std::vector<Argument> size{Argument::of_int(call.integer("embed_dim"))};
  const double eps = call.real("eps");
  auto normalized = [&](Value* x, const char* weight, const char* bias) {
    return layer_norm(builder, x, size, call.tensor(weight), call.tensor(bias),
                      eps);
  };
  auto attention = [&](Value* x) {
    return multi_head(call, x, x, x, call.integer("num_heads")).output;
  };
  auto feed_forward = [&](Value* x) {
    Value* hidden = linear(builder, x, call.tensor("ffn_weight_1"),
                           call.tensor("ffn_bias_1"));
    hidden = call.flag("use_gelu", false) ? gelu(builder, hidden)
                                          : builder.op("Relu", {hidden});
    return linear(builder, hidden, call.tensor("ffn_weight_2"),
                  call.tensor("ffn_bias_2"));
  };
  Value* x = call.tensor("src");
  auto plus = [&](Value* y) { return builder.op("Add", {x, y}); };
  if (call.flag("norm_first", false)) {
    x = plus(attention(normalized(x, "norm_weight_1", "norm_bias_1")));
    return one(
        plus(feed_forward(normalized(x, "norm_weight_2", "norm_bias_2"))));
  }
  x = normalized(plus(attention(x)), "norm_weight_1", "norm_bias_1");
  return one(normalized(plus(feed_forward(x)), "norm_weight_2", "norm_bias_2"));
}

// --- dropout ---

Value* undropped(const AtenCall& call, const char* input, bool train) {
  if (train && call.real("p", 0.5) != 0)
    call.unsupported("it is in training mode", kEvalHint);
  return call.tensor(input);
}

Arguments emit_dropout(const AtenCall& call) {
  return one(undropped(call, "input", call.flag("train", true)));
}

// The second result, what is kept, is all true.
Arguments emit_native_dropout(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* input = undropped(call, "input", call.flag("train", true));
  return {Argument::tensor(input),
          Argument::tensor(builder.expand(builder.scalar(DataType::kBool, 1),
                                          builder.shape_of(input)))};
}

constexpr AtenRow kRows[] = {
    {"scaled_dot_product_attention", emit_scaled_dot_product<1>},
    {"_scaled_dot_product_flash_attention", emit_scaled_dot_product<9>},
    {"_scaled_dot_product_flash_attention_for_cpu", emit_scaled_dot_product<2>},
    {"_scaled_dot_product_efficient_attention", emit_scaled_dot_product<4>},
    {"_scaled_dot_product_cudnn_attention", emit_scaled_dot_product<9>},
    {"_scaled_dot_product_attention_math", emit_scaled_dot_product_weights},
    {"_scaled_dot_product_attention", emit_scaled_dot_product_1_13},
    {"_scaled_dot_product_attention_forward", emit_scaled_dot_product_1_13},
    {"_native_multi_head_attention", emit_multi_head_attention},
    {"_transformer_encoder_layer_fwd", emit_transformer_encoder_layer},
    {"embedding", emit_embedding},
    {"embedding_bag", emit_embedding_bag},
    {"_embedding_bag", emit_embedding_bag},
    {"_embedding_bag_forward_only", emit_embedding_bag},
    {"one_hot", emit_one_hot},
    {"dropout", emit_dropout},
    {"feature_dropout", emit_dropout},
    {"alpha_dropout", emit_dropout},
    {"feature_alpha_dropout", emit_dropout},
    {"native_dropout", emit_native_dropout},
};

}  // namespace

std::span<const AtenRow> attention_rows() { return kRows; }

}  // namespace lathe::io::aten
