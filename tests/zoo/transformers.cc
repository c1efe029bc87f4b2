// ViT-tiny and a BERT-tiny encoder.
#include <cmath>
#include <string>
#include <vector>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

// [1, heads, tokens, size] to [1, tokens, heads * size].
Value* merge_heads(NetBuilder& net, Value* x, int64_t tokens, int64_t width) {
  return net.reshape(net.transpose(x, {0, 2, 1, 3}), {1, tokens, width});
}

// One projection for queries, keys and values, as timm exports it.
Value* joint_attention(NetBuilder& net, Value* x, int64_t heads) {
  int64_t tokens = NetBuilder::dim(x, 1), width = NetBuilder::dim(x, 2);
  int64_t size = width / heads;
  Value* joint =
      net.reshape(net.linear(x, 3 * width), {1, tokens, 3, heads, size});
  auto parts = net.split(net.transpose(joint, {2, 0, 3, 1, 4}), {1, 1, 1}, 0);
  for (Value*& part : parts)
    part = net.add_node("Squeeze", {part, net.integers("axes", {0})});
  Value* scale = net.scalar("scale", 1 / std::sqrt(static_cast<float>(size)));
  Value* query = net.mul(parts[0], scale);
  Value* key = net.transpose(parts[1], {0, 1, 3, 2});
  Value* weights = net.softmax(net.matmul(query, key));
  x = merge_heads(net, net.matmul(weights, parts[2]), tokens, width);
  return net.linear(x, width);
}

Value* feed_forward(NetBuilder& net, Value* x) {
  int64_t width = NetBuilder::dim(x, -1);
  return net.linear(net.gelu(net.linear(x, 4 * width)), width);
}

// Three projections and a mask that is added to the scores.
Value* masked_attention(NetBuilder& net, Value* x, Value* mask, int64_t heads) {
  int64_t tokens = NetBuilder::dim(x, 1), width = NetBuilder::dim(x, 2);
  int64_t size = width / heads;
  auto project = [&](const std::vector<int64_t>& order) {
    Value* y = net.reshape(net.linear(x, width), {1, tokens, heads, size});
    return net.transpose(y, order);
  };
  Value* query = project({0, 2, 1, 3});
  Value* key = project({0, 2, 3, 1});
  Value* value = project({0, 2, 1, 3});
  Value* root = net.scalar("root", std::sqrt(static_cast<float>(size)));
  Value* scores = net.add_node("Div", {net.matmul(query, key), root});
  Value* weights = net.softmax(net.add(scores, mask));
  x = merge_heads(net, net.matmul(weights, value), tokens, width);
  return net.linear(x, width);
}

// 0 where a token counts, -10000 where it is filler: [1, 1, 1, tokens].
Value* additive_mask(NetBuilder& net, Value* mask) {
  mask = net.add_node("Unsqueeze", {mask, net.integers("axes", {1, 2})});
  mask = net.add_node("Cast", {mask}, {{"to", int64_t{1}}});
  mask = net.add_node("Sub", {net.scalar("one", 1), mask});
  return net.mul(mask, net.scalar("far_below", -10000));
}

Value* embed(NetBuilder& net, const std::string& role, Value* ids,
             int64_t entries, int64_t width) {
  Value* table = net.uniform(role, {entries, width}, 1.0f);
  return net.add_node("Gather", {table, ids});
}

}  // namespace

ir::Model vit_tiny(uint64_t seed) {
  constexpr int64_t kWidth = 192, kPatches = 14 * 14;
  NetBuilder net("vit_tiny", seed);
  net.scope("embedding");
  Value* x = net.conv(net.image(224), kWidth, unpadded(16, 16));
  x = net.transpose(net.reshape(x, {1, kWidth, kPatches}), {0, 2, 1});
  x = net.concat({net.uniform("class", {1, 1, kWidth}, 0.1f), x}, 1);
  x = net.add(x, net.uniform("position", {1, kPatches + 1, kWidth}, 0.1f));
  for (int block = 0; block < 12; ++block) {
    net.scope("block" + std::to_string(block));
    x = net.add(x, joint_attention(net, net.layer_norm(x), 3));
    x = net.add(x, feed_forward(net, net.layer_norm(x)));
  }
  net.scope("head");
  x = net.layer_norm(x);
  x = net.add_node("Gather", {x, net.integer("first", 0)},
                   {{"axis", int64_t{1}}});
  return net.finish(net.linear(x, 1000));
}

ir::Model bert_tiny(uint64_t seed) {
  constexpr int64_t kTokens = 128, kWidth = 128, kWords = 30522;
  constexpr float kEpsilon = 1e-12f;
  NetBuilder net("bert_tiny", seed);
  Value* ids = net.input("input_ids", {1, kTokens}, ir::DataType::kInt64);
  Value* mask = net.input("attention_mask", {1, kTokens}, ir::DataType::kInt64);
  Value* types =
      net.input("token_type_ids", {1, kTokens}, ir::DataType::kInt64);
  net.scope("embedding");
  mask = additive_mask(net, mask);
  Value* x = embed(net, "words", ids, kWords, kWidth);
  x = net.add(x, embed(net, "types", types, 2, kWidth));
  x = net.add(x, net.uniform("position", {1, kTokens, kWidth}, 1.0f));
  x = net.layer_norm(x, kEpsilon);
  for (int layer = 0; layer < 2; ++layer) {
    net.scope("layer" + std::to_string(layer));
    x = net.layer_norm(net.add(masked_attention(net, x, mask, 2), x), kEpsilon);
    x = net.layer_norm(net.add(feed_forward(net, x), x), kEpsilon);
  }
  return net.finish(x);
}

}  // namespace lathe::zoo
