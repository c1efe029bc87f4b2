#include <algorithm>
#include <cmath>

#include "calibration/latency/probe/families.h"

namespace lathe::latency {
namespace {

struct Attention {
  int64_t tokens, heads, head_size;
  bool joined;  // one product for queries, keys and values
  bool split;   // and then a Split of it, else three Gathers
  bool masked;
  bool divided;       // scores divided by a constant, else multiplied
  bool scaled_first;  // the queries are scaled, not the scores
};

ir::Value* attention(NetworkBuilder& b, ir::Value* x, const Attention& a,
                     ir::Value* mask) {
  int64_t width = a.heads * a.head_size;
  ir::Value *query, *key, *value;
  if (a.joined) {
    ir::Value* all = b.dense(x, 3 * width);
    all = b.transpose(b.reshape(all, {1, a.tokens, 3, a.heads, a.head_size}),
                      {2, 0, 3, 1, 4});
    std::vector<ir::Value*> parts;
    if (a.split) parts = b.split(all, 0, {1, 1, 1});
    auto part = [&](int64_t index) {
      Dims dims = {1, a.heads, a.tokens, a.head_size};
      if (a.split)
        return b.op("Squeeze",
                    {parts[static_cast<size_t>(index)], b.integers({0})}, dims);
      // A scalar index takes the axis away.
      ir::Value* at = b.integers({index});
      at->set_tensor(ir::Tensor::scalar<int64_t>(index));
      ir::Value* y = b.op("Gather", {all, at}, dims);
      b.attr("axis", int64_t{0});
      return y;
    };
    query = part(0);
    key = b.transpose(part(1), {0, 1, 3, 2});
    value = part(2);
  } else {
    auto heads = [&](const std::vector<int64_t>& order) {
      return b.transpose(
          b.reshape(b.dense(x, width), {1, a.tokens, a.heads, a.head_size}),
          order);
    };
    query = heads({0, 2, 1, 3});
    key = heads({0, 2, 3, 1});
    value = heads({0, 2, 1, 3});
  }
  float root = std::sqrt(static_cast<float>(a.head_size));
  if (a.scaled_first) query = b.mul(query, b.constant(1 / root));
  ir::Value* scores = b.matmul(query, key);
  if (!a.scaled_first)
    scores = a.divided ? b.binary("Div", scores, b.constant(root))
                       : b.mul(scores, b.constant(1 / root));
  if (a.masked) scores = b.add(scores, mask);
  ir::Value* mixed = b.matmul(b.softmax(scores), value);
  mixed = b.reshape(b.transpose(mixed, {0, 2, 1, 3}), {1, a.tokens, width});
  return b.dense(mixed, b.dim(x, 2));
}

// Token numbers to vectors, or patches of an image to vectors.
ir::Value* embed(NetworkBuilder& b, int64_t& tokens, int64_t width) {
  if (b.chance(0.5)) {
    ir::Value* ids = b.input({1, tokens}, ir::DataType::kInt64);
    auto rows = [&](int64_t count, ir::Value* which) {
      return b.op("Gather", {b.filled({count, width}, -1, 1), which},
                  {1, tokens, width});
    };
    ir::Value* x = rows(b.between(100, 2000), ids);
    x = b.add(x, b.filled({1, tokens, width}, -1, 1));
    return b.chance(0.7) ? b.layer_norm(x) : x;
  }
  int64_t patch = b.pick<int64_t>({4, 8, 16});
  int64_t side = std::max<int64_t>(
      2, static_cast<int64_t>(std::sqrt(static_cast<double>(tokens))));
  if (side * patch > 256) patch = 4;
  ir::Value* image = b.input({1, 3, side * patch, side * patch});
  ir::Value* y = b.conv(image, width, Window::square(patch, patch));
  b.attr("pads", Dims{0, 0, 0, 0});
  y->type.shape = ir::to_shape({1, width, side, side});
  tokens = side * side;
  y = b.transpose(b.reshape(y, {1, width, tokens}), {0, 2, 1});
  if (b.chance(0.7)) {
    y = b.concat({b.filled({1, 1, width}, -1, 1), y}, 1);
    ++tokens;
  }
  return b.add(y, b.filled({1, tokens, width}, -1, 1));
}

}  // namespace

ir::Value* pool_frames(NetworkBuilder& b, ir::Value* x) {
  Dims dims = {1, b.dim(x, 1)};
  if (b.chance(0.5)) return b.reduce_mean(x, {2}, /*keep=*/false);
  return b.reshape(b.op("GlobalAveragePool", {x}, {1, dims[1], 1}), dims);
}

void add_transformer(NetworkBuilder& b) {
  double macs = b.chance(0.25) ? b.draw_macs(2e5, 1e7) : b.draw_macs(1e7, 6e8);
  Attention a;
  a.tokens = std::llround(b.log_uniform(8, macs < 1e7 ? 64 : 257));
  a.head_size = b.pick<int64_t>({16, 32, 32, 64, 64, b.between(8, 80)});
  double block = macs / static_cast<double>(b.between(1, 4));
  double most = std::sqrt(block / (12.0 * static_cast<double>(a.tokens)));
  a.heads = std::clamp<int64_t>(std::llround(b.log_uniform(most / 2, most) /
                                             static_cast<double>(a.head_size)),
                                1, 12);
  a.joined = b.chance(0.4);
  a.masked = b.chance(0.3);
  a.divided = b.chance(0.5);
  a.scaled_first = b.chance(0.55);
  a.split = b.chance(0.5);
  int64_t width = a.heads * a.head_size;
  bool first = b.chance(0.5);  // normalised before or after the sub-layer
  const char* act = b.pick<const char*>(
      {"gelu_erf", "gelu_erf", "gelu_tanh", "relu", "swish"});
  int64_t inner = width * b.pick<int64_t>({2, 3, 4, 4, 4});
  ir::Value* x = embed(b, a.tokens, width);
  ir::Value* mask = nullptr;
  if (a.masked) {  // 0 where the input says 1, else a large negative number
    mask = b.op("Cast", {b.input({1, 1, 1, a.tokens}, ir::DataType::kInt64)},
                {1, 1, 1, a.tokens});
    b.attr("to", int64_t{1});
    mask = b.mul(b.binary("Sub", b.constant(1), mask), b.constant(-10000));
  }
  for (int layer = 0; layer < 6 && (layer == 0 || b.macs() < macs * 0.85);
       ++layer) {
    ir::Value* y = attention(b, first ? b.layer_norm(x) : x, a, mask);
    x = b.add(x, y);
    if (!first) x = b.layer_norm(x);
    y = b.activate(b.dense(first ? b.layer_norm(x) : x, inner), act);
    x = b.add(x, b.dense(y, width));
    if (!first) x = b.layer_norm(x);
  }
  if (first) x = b.layer_norm(x);
  ir::Value* token = b.reshape(b.slice(x, 1, 0, 1), {1, width});
  b.output(b.gemm(token, b.classes()));
}

void add_mlp(NetworkBuilder& b) {
  double macs = b.draw_macs(1e5, 5e8);
  int64_t rows = b.pick<int64_t>(
      {1, 1, b.between(2, 16), 49, 196, 784, 3136, b.between(17, 3136)});
  const char* act = b.pick<const char*>(
      {"relu", "relu", "gelu_erf", "tanh", "sigmoid", "swish"});
  double most =
      std::min(4096.0, std::sqrt(macs / 2 / static_cast<double>(rows)));
  bool as_matmul = b.chance(0.4);
  int64_t depth = b.width(std::max(8.0, most / 4), std::max(16.0, most));
  ir::Value* x = b.input(as_matmul ? Dims{1, rows, depth} : Dims{rows, depth});
  for (int layer = 0; layer < 8 && (layer < 2 || b.macs() < macs); ++layer) {
    int64_t width = b.width(std::max(8.0, most / 4), std::max(16.0, most));
    ir::Value* y =
        as_matmul ? b.dense(x, width, b.chance(0.85)) : b.gemm(x, width);
    y = b.activate(y, act);
    if (b.chance(0.3)) y = b.layer_norm(y);
    x = y;
  }
  b.output(b.chance(0.5) ? b.softmax(x) : x);
}

void add_speech(NetworkBuilder& b) {
  double macs = b.chance(0.3) ? b.draw_macs(1e6, 1e7) : b.draw_macs(1e7, 3e8);
  const char* act = b.pick<const char*>({"relu", "relu", "clip", "swish"});
  if (b.chance(0.45)) {  // frames by frequencies, as an image
    ir::Value* x =
        b.input({1, 1, b.between(40, 300), b.pick<int64_t>({10, 40, 64, 80})});
    double share = macs / 4;
    for (int layer = 0; layer < 6 && (layer < 2 || b.macs() < macs * 0.85);
         ++layer) {
      Window window;
      window.height = b.pick<int64_t>({1, 3, 3, 5, 8, 10, 20});
      window.width = b.pick<int64_t>({1, 3, 4, 5, 7});
      window.stride_height = layer < 2 && b.chance(0.6) ? 2 : 1;
      window.stride_width = layer < 1 && b.chance(0.5) ? 2 : 1;
      double pixels = area(x) / static_cast<double>(window.stride_height *
                                                    window.stride_width);
      double cost = static_cast<double>(window.height * window.width) * pixels;
      x = b.activate(b.conv(x, width_within(b, share, cost, 256), window), act);
      if (b.chance(0.4)) x = b.activate(b.depthwise(x, 3), act);
    }
    b.output(b.softmax(b.classifier(x, b.width(10, 40))));
    return;
  }
  int64_t frames = b.between(50, 800);
  ir::Value* x = b.input({1, b.pick<int64_t>({40, 64, 80, 128}), frames});
  double share = macs / 4;
  for (int layer = 0; layer < 10 && (layer < 3 || b.macs() < macs * 0.85);
       ++layer) {
    int64_t size = b.pick<int64_t>({1, 3, 3, 5, 9, 15, 31});
    int64_t stride = layer == 0 && b.chance(0.5) ? 2 : 1;
    int64_t dilation = b.pick<int64_t>({1, 1, 1, 2, 4});
    double length = static_cast<double>(b.dim(x, 2) / stride);
    if (b.chance(0.5)) {
      x = b.conv_1d(x, b.dim(x, 1), size, stride, dilation, b.dim(x, 1));
      x = b.conv_1d(x, width_within(b, share, length, 512), 1, 1, 1, 1);
    } else {
      double cost = static_cast<double>(size) * length;
      ir::Value* y = b.conv_1d(x, width_within(b, share, cost, 512), size,
                               stride, dilation, 1);
      x = b.dim(y, 1) == b.dim(x, 1) && b.dim(y, 2) == b.dim(x, 2) ? b.add(x, y)
                                                                   : y;
    }
    if (b.chance(0.2)) x = b.batch_norm(x);
    x = b.activate(x, act);
  }
  b.output(b.softmax(b.gemm(pool_frames(b, x), b.width(10, 200))));
}

void add_recurrent(NetworkBuilder& b) {
  int64_t steps = b.between(8, 100);
  ir::Value* x = b.input({steps, 1, b.width(16, 256)});
  int64_t layers = b.between(1, 2);
  for (int64_t layer = 0; layer < layers; ++layer) {
    int64_t hidden = b.width(16, 224), in = b.dim(x, 2);
    int64_t ways = b.chance(0.3) ? 2 : 1;
    bool lstm = b.chance(0.55);
    int64_t gates = lstm ? 4 : 3;
    ir::Value* y = b.op(
        lstm ? "LSTM" : "GRU",
        {x, b.weight({ways, gates * hidden, in}, static_cast<double>(in)),
         b.weight({ways, gates * hidden, hidden}, static_cast<double>(hidden)),
         b.weight({ways, 2 * gates * hidden}, 100)},
        {steps, ways, 1, hidden});
    b.attr("hidden_size", hidden);
    if (ways == 2) b.attr("direction", std::string("bidirectional"));
    if (!lstm) b.attr("linear_before_reset", int64_t{1});
    x = b.reshape(b.transpose(y, {0, 2, 1, 3}), {steps, 1, ways * hidden});
  }
  x = b.activate(b.dense(x, b.width(16, 256)), "relu");
  b.output(b.softmax(b.dense(x, b.width(8, 128))));
}

}  // namespace lathe::latency
