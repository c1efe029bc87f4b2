// ShuffleNetV2 and DenseNet-121: features put side by side.
#include <string>
#include <vector>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

// Two groups interleaved.
Value* shuffle(NetBuilder& net, Value* x) {
  int64_t channels = NetBuilder::channels(x);
  int64_t height = NetBuilder::dim(x, 2), width = NetBuilder::dim(x, 3);
  x = net.reshape(x, {1, 2, channels / 2, height, width});
  x = net.transpose(x, {0, 2, 1, 3, 4});
  return net.reshape(x, {1, channels, height, width});
}

Value* shuffle_unit(NetBuilder& net, Value* x, int64_t out, int64_t stride) {
  int64_t half = out / 2;
  Value* kept = x;
  if (stride == 1) {
    auto halves = net.split(x, {half, half});
    kept = halves[0];
    x = halves[1];
  } else {
    kept = net.depthwise(x, 3, stride);
    kept = net.conv(kept, half, 1, 1, Act::kRelu);
  }
  x = net.conv(x, half, 1, 1, Act::kRelu);
  x = net.depthwise(x, 3, stride);
  x = net.conv(x, half, 1, 1, Act::kRelu);
  return shuffle(net, net.concat({kept, x}));
}

// The normalization in front of a concatenation's reader folds into nothing.
Value* normalized(NetBuilder& net, Value* x) {
  return net.relu(net.batch_norm(x));
}

Value* dense_block(NetBuilder& net, Value* x, int layers, int block) {
  constexpr int64_t kGrowth = 32, kBottleneck = 4 * kGrowth;
  std::vector<Value*> features{x};
  for (int layer = 0; layer < layers; ++layer) {
    net.scope("block" + std::to_string(block) + "." + std::to_string(layer));
    Value* y = features.size() > 1 ? net.concat(features) : x;
    y = net.conv(normalized(net, y), kBottleneck, 1, 1, Act::kRelu);
    features.push_back(net.conv(y, kGrowth, 3));
  }
  return net.concat(features);
}

}  // namespace

ir::Model shufflenet_v2(uint64_t seed) {
  NetBuilder net("shufflenet_v2", seed);
  net.scope("stem");
  Value* x = net.conv(net.image(224), 24, 3, 2, Act::kRelu);
  x = net.max_pool(x, square(3, 2));
  struct Row {
    int64_t out;
    int units;
  };
  int stage = 1;
  for (const Row& row : {Row{116, 4}, Row{232, 8}, Row{464, 4}}) {
    ++stage;
    for (int unit = 0; unit < row.units; ++unit) {
      net.scope("stage" + std::to_string(stage) + "." + std::to_string(unit));
      x = shuffle_unit(net, x, row.out, unit == 0 ? 2 : 1);
    }
  }
  net.scope("head");
  x = net.conv(x, 1024, 1, 1, Act::kRelu);
  return net.finish(net.classifier(x, 1000));
}

ir::Model densenet121(uint64_t seed) {
  NetBuilder net("densenet121", seed);
  net.scope("stem");
  Value* x = net.conv(net.image(224), 64, 7, 2, Act::kRelu);
  x = net.max_pool(x, square(3, 2));
  int block = 0;
  for (int layers : {6, 12, 24, 16}) {
    if (++block > 1) {
      net.scope("transition" + std::to_string(block - 1));
      x = net.conv(normalized(net, x), NetBuilder::channels(x) / 2, 1);
      x = net.average_pool(x, unpadded(2, 2));
    }
    x = dense_block(net, x, layers, block);
  }
  net.scope("head");
  return net.finish(net.classifier(normalized(net, x), 1000));
}

}  // namespace lathe::zoo
