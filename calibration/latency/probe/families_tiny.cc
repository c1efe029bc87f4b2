// Networks of microseconds a kernel: what a node costs beside its work.
#include <algorithm>

#include "calibration/latency/probe/families.h"

namespace lathe::latency {
namespace {

// A root mean square over the last axis, then weights (Zhang and Sennrich
// 2019), in operators.
ir::Value* rms_norm(NetworkBuilder& b, ir::Value* x) {
  int64_t last = static_cast<int64_t>(NetworkBuilder::dims_of(x).size()) - 1;
  ir::Value* mean = b.reduce_mean(b.binary("Pow", x, b.constant(2)), {last},
                                  /*keep=*/true);
  ir::Value* root = b.unary("Sqrt", b.add(mean, b.constant(1e-5f)));
  ir::Value* y = b.chance(0.5) ? b.binary("Div", x, root)
                               : b.mul(x, b.unary("Reciprocal", root));
  return b.mul(y, b.filled({NetworkBuilder::dims_of(x).back()}, 0.8f, 1.2f));
}

ir::Value* every_second(NetworkBuilder& b, ir::Value* x, int64_t start) {
  Dims dims = NetworkBuilder::dims_of(x);
  int64_t last = static_cast<int64_t>(dims.size()) - 1, end = dims.back();
  dims.back() = end / 2;
  return b.op("Slice",
              {x, b.integers({start}), b.integers({end}), b.integers({last}),
               b.integers({2})},
              dims);
}

// Rotary positions (Su et al. 2021): halves, or neighbours, change places.
ir::Value* rotate(NetworkBuilder& b, ir::Value* x, ir::Value* cosine,
                  ir::Value* sine, bool neighbours) {
  Dims dims = NetworkBuilder::dims_of(x);
  int64_t size = dims.back();
  int64_t last = static_cast<int64_t>(dims.size()) - 1;
  if (neighbours) {
    Dims pairs = dims;
    pairs.back() = size / 2;
    pairs.push_back(1);
    ir::Value* odd = b.reshape(b.unary("Neg", every_second(b, x, 1)), pairs);
    ir::Value* even = b.reshape(every_second(b, x, 0), pairs);
    ir::Value* turned = b.reshape(b.concat({odd, even}, last + 1), dims);
    return b.add(b.mul(x, cosine), b.mul(turned, sine));
  }
  ir::Value* low = b.slice(x, last, 0, size / 2);
  ir::Value* high = b.slice(x, last, size / 2, size);
  ir::Value* turned = b.concat({b.unary("Neg", high), low}, last);
  return b.add(b.mul(x, cosine), b.mul(turned, sine));
}

}  // namespace

void add_tiny(NetworkBuilder& b) {
  double macs = b.draw_macs(2e5, 2e7);
  int64_t size = b.between(8, 40);
  const char* act = b.pick<const char*>({"relu", "relu", "clip", "hard_swish"});
  ir::Value* x = b.input({1, b.pick<int64_t>({1, 3, 3}), size, size});
  for (int layer = 0; layer < 9 && (layer < 3 || b.macs() < macs); ++layer) {
    int64_t kernel = b.pick<int64_t>({1, 3, 3, 5});
    int64_t stride = b.dim(x, 2) > 6 && b.chance(0.3) ? 2 : 1;
    double cost = static_cast<double>(kernel * kernel) * area(x) /
                  static_cast<double>(stride * stride);
    ir::Value* y;
    if (layer > 0 && b.chance(0.25))
      y = b.depthwise(x, kernel == 1 ? 3 : kernel, stride);
    else
      y = b.conv(x, width_within(b, macs / 3, cost, 64), kernel, stride);
    if (NetworkBuilder::dims_of(x) == NetworkBuilder::dims_of(y) &&
        b.chance(0.6))
      y = b.add(x, y);
    x = b.activate(y, act);
    if (b.dim(x, 2) >= 8 && b.chance(0.25)) x = b.pool(x, "MaxPool", 2, 2);
  }
  b.output(b.classifier(x, b.between(2, 100)));
}

void add_tiny_dense(NetworkBuilder& b) {
  int64_t rows = b.chance(0.75) ? 1 : b.between(2, 32);
  bool as_matmul = b.chance(0.3);
  int64_t depth = b.width(8, 800);
  ir::Value* x = b.input(as_matmul ? Dims{1, rows, depth} : Dims{rows, depth});
  const char* act = b.pick<const char*>({"relu", "relu", "tanh", "sigmoid"});
  for (int64_t layer = b.between(2, 10); layer > 0; --layer) {
    int64_t width = b.width(8, 300);
    x = as_matmul ? b.dense(x, width) : b.gemm(x, width);
    x = b.activate(x, act);
  }
  int64_t results = b.width(2, 800);
  x = as_matmul ? b.dense(x, results) : b.gemm(x, results);
  b.output(b.chance(0.5) ? b.softmax(x) : x);
}

void add_tiny_speech(NetworkBuilder& b) {
  int64_t channels = b.pick<int64_t>({1, 10, 13, 40, 40, 64});
  ir::Value* x = b.input({1, channels, b.between(16, 120)});
  double macs = b.draw_macs(2e5, 1.5e7);
  for (int layer = 0; layer < 12 && (layer < 3 || b.macs() < macs); ++layer) {
    int64_t size = b.pick<int64_t>({1, 3, 3, 5, 9, 9});
    int64_t stride = b.dim(x, 2) > 12 && b.chance(0.3) ? 2 : 1;
    if (b.chance(0.2) && b.dim(x, 1) > 1) {
      x = b.conv_1d(x, b.dim(x, 1), size, stride, 1, b.dim(x, 1));
    } else {
      ir::Value* y = b.conv_1d(x, b.width(8, 72), size, stride, 1, 1);
      bool joins = NetworkBuilder::dims_of(x) == NetworkBuilder::dims_of(y);
      x = joins ? b.add(x, y) : y;
    }
    x = b.activate(x, "relu");
  }
  b.output(b.softmax(b.gemm(pool_frames(b, x), b.between(2, 40))));
}

// A language model that reads a few tokens.
void add_tiny_tokens(NetworkBuilder& b) {
  int64_t tokens = b.chance(0.35)  ? 1
                   : b.chance(0.5) ? b.between(2, 8)
                                   : b.between(5, 64);
  int64_t size = b.pick<int64_t>({8, 16, 32});
  int64_t heads = b.pick<int64_t>({2, 4, 8}), width = heads * size;
  int64_t shared = b.chance(0.4) ? heads / 2 : heads;  // of keys and values
  bool rotary = b.chance(0.7), root_mean = b.chance(0.6);
  bool neighbours = b.chance(0.5);
  bool gated = b.chance(0.5);
  int64_t inner = b.width(2.0 * static_cast<double>(width),
                          4.0 * static_cast<double>(width));
  int64_t vocabulary = b.between(64, 1024);
  ir::Value* ids = b.input({1, tokens}, ir::DataType::kInt64);
  ir::Value* x = b.op("Gather", {b.filled({vocabulary, width}, -1, 1), ids},
                      {1, tokens, width});
  ir::Value* cosine = b.filled({1, 1, tokens, size}, -1, 1);
  ir::Value* sine = b.filled({1, 1, tokens, size}, -1, 1);
  ir::Value* mask =
      b.chance(0.5) ? b.filled({1, 1, tokens, tokens}, -4, 0) : nullptr;
  auto norm = [&](ir::Value* y) {
    return root_mean ? rms_norm(b, y) : b.layer_norm(y);
  };
  auto split_heads = [&](ir::Value* y, int64_t count, bool turns) {
    y = b.reshape(b.dense(y, count * size, /*bias=*/false),
                  {1, tokens, count, size});
    y = b.transpose(y, {0, 2, 1, 3});
    if (rotary && turns) y = rotate(b, y, cosine, sine, neighbours);
    if (count == heads) return y;
    // Each key serves two queries.
    y = b.reshape(y, {1, count, 1, tokens, size});
    y = b.op("Expand", {y, b.integers({1, count, 2, tokens, size})},
             {1, count, 2, tokens, size});
    return b.reshape(y, {1, heads, tokens, size});
  };
  for (int64_t layer = b.between(1, 5); layer > 0; --layer) {
    ir::Value* y = norm(x);
    ir::Value* query = split_heads(y, heads, true);
    ir::Value* key = split_heads(y, shared, true);
    ir::Value* value = split_heads(y, shared, false);
    ir::Value* scores = b.mul(b.matmul(query, b.transpose(key, {0, 1, 3, 2})),
                              b.constant(0.25f));
    if (mask) scores = b.add(scores, mask);
    y = b.transpose(b.matmul(b.softmax(scores), value), {0, 2, 1, 3});
    y = b.dense(b.reshape(y, {1, tokens, width}), width, /*bias=*/false);
    x = b.add(x, y);
    y = norm(x);
    ir::Value* z = b.activate(b.dense(y, inner, /*bias=*/false),
                              gated ? "swish" : "gelu_tanh");
    if (gated) z = b.mul(z, b.dense(y, inner, /*bias=*/false));
    x = b.add(x, b.dense(z, width, /*bias=*/false));
  }
  b.output(b.dense(norm(x), vocabulary, /*bias=*/false));
}

}  // namespace lathe::latency
