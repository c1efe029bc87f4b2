// ResNet-18 and ResNet-50.
#include <string>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

Value* stem(NetBuilder& net, Value* x, int64_t width) {
  net.scope("stem");
  x = net.conv(x, width, 7, 2, Act::kRelu);
  return net.max_pool(x, square(3, 2));
}

// The input as the block's output takes it.
Value* shortcut(NetBuilder& net, Value* x, int64_t out, int64_t stride) {
  if (stride == 1 && NetBuilder::channels(x) == out) return x;
  return net.conv(x, out, 1, stride);
}

Value* basic(NetBuilder& net, Value* x, int64_t inner, int64_t out,
             int64_t stride) {
  Value* y = net.conv(x, inner, 3, stride, Act::kRelu);
  y = net.conv(y, out, 3);
  return net.relu(net.add(y, shortcut(net, x, out, stride)));
}

Value* bottleneck(NetBuilder& net, Value* x, int64_t first, int64_t second,
                  int64_t out, int64_t stride) {
  Value* y = net.conv(x, first, 1, 1, Act::kRelu);
  y = net.conv(y, second, 3, stride, Act::kRelu);
  y = net.conv(y, out, 1);
  return net.relu(net.add(y, shortcut(net, x, out, stride)));
}

std::string block_name(int stage, int block) {
  return "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
}

}  // namespace

ir::Model resnet18(uint64_t seed, const Widths& widths, int64_t size,
                   bool keep_batch_norm) {
  NetBuilder net("resnet18", seed);
  if (keep_batch_norm) net.keep_batch_norm();
  // The first stage adds to what the stem gives: one width.
  int64_t out = widths(64);
  Value* x = stem(net, net.image(size), out);
  for (int stage = 0; stage < 4; ++stage) {
    if (stage > 0) out = widths(64 << stage);
    for (int block = 0; block < 2; ++block) {
      net.scope(block_name(stage, block));
      int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      x = basic(net, x, widths(64 << stage), out, stride);
    }
  }
  net.scope("head");
  return net.finish(net.classifier(x, 1000));
}

ir::Model resnet50(uint64_t seed, const Widths& widths, int64_t size) {
  NetBuilder net("resnet50", seed);
  Value* x = stem(net, net.image(size), widths(64));
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    int64_t out = widths(256 << stage);
    for (int block = 0; block < blocks[stage]; ++block) {
      net.scope(block_name(stage, block));
      int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      int64_t first = widths(64 << stage), second = widths(64 << stage);
      x = bottleneck(net, x, first, second, out, stride);
    }
  }
  net.scope("head");
  return net.finish(net.classifier(x, 1000));
}

}  // namespace lathe::zoo
