// MobileNetV1 and MobileNetV2.
#include <string>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {

using Value = ir::Value;

ir::Model mobilenet_v1(uint64_t seed, const Widths& widths, int64_t size) {
  NetBuilder net("mobilenet_v1", seed);
  net.scope("stem");
  Value* x = net.conv(net.image(size), widths(32), 3, 2, Act::kRelu);
  struct Row {
    int64_t out, stride;
  };
  const Row rows[] = {{64, 1},  {128, 2},  {128, 1}, {256, 2}, {256, 1},
                      {512, 2}, {512, 1},  {512, 1}, {512, 1}, {512, 1},
                      {512, 1}, {1024, 2}, {1024, 1}};
  int block = 0;
  for (const Row& row : rows) {
    net.scope("block" + std::to_string(++block));
    x = net.depthwise(x, 3, row.stride, Act::kRelu);
    x = net.conv(x, widths(row.out), 1, 1, Act::kRelu);
  }
  net.scope("head");
  return net.finish(net.classifier(x, 1000));
}

ir::Model mobilenet_v2(uint64_t seed, const Widths& widths, int64_t size) {
  NetBuilder net("mobilenet_v2", seed);
  net.scope("stem");
  Value* x = net.conv(net.image(size), widths(32), 3, 2, Act::kRelu6);
  struct Row {
    int64_t expansion, out;
    int blocks;
    int64_t stride;
  };
  const Row rows[] = {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2},
                      {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2},
                      {6, 320, 1, 1}};
  int64_t published_in = 32;
  int index = 0;
  for (const Row& row : rows) {
    int64_t out = widths(row.out);
    for (int i = 0; i < row.blocks; ++i) {
      net.scope("block" + std::to_string(++index));
      InvertedResidual block;
      if (row.expansion > 1)
        block.hidden = widths(row.expansion * published_in);
      block.out = out;
      block.stride = i == 0 ? row.stride : 1;
      x = inverted_residual(net, x, block);
      published_in = row.out;
    }
  }
  net.scope("head");
  x = net.conv(x, widths(1280), 1, 1, Act::kRelu6);
  return net.finish(net.classifier(x, 1000));
}

}  // namespace lathe::zoo
