// Keyword spotting: DS-CNN and TC-ResNet14.
#include <string>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

constexpr int64_t kFrames = 98, kBands = 40, kClasses = 12;

Window along_time(int64_t kernel, int64_t stride = 1) {
  return {{kernel}, {stride}, {kernel / 2, kernel / 2}};
}

Value* temporal_block(NetBuilder& net, Value* x, int64_t out, int64_t stride) {
  Value* y = net.conv(x, out, along_time(9, stride), Act::kRelu);
  y = net.conv(y, out, along_time(9));
  bool same = stride == 1 && out == NetBuilder::channels(x);
  if (!same) x = net.conv(x, out, along_time(1, stride), Act::kRelu);
  return net.relu(net.add(y, x));
}

}  // namespace

ir::Model speech_ds_cnn(uint64_t seed) {
  constexpr int64_t kWidth = 276;
  NetBuilder net("speech_ds_cnn", seed);
  Value* x = net.input("input", {1, 1, kFrames, kBands});
  net.scope("stem");
  x = net.conv(x, kWidth, {{10, 4}, {2, 1}, {4, 1, 5, 2}}, Act::kRelu);
  for (int block = 0; block < 5; ++block) {
    net.scope("block" + std::to_string(block));
    x = net.depthwise(x, 3, block == 0 ? 2 : 1, Act::kRelu);
    x = net.conv(x, kWidth, 1, 1, Act::kRelu);
  }
  net.scope("head");
  return net.finish(net.classifier(x, kClasses));
}

ir::Model speech_tc_resnet(uint64_t seed) {
  NetBuilder net("speech_tc_resnet", seed);
  Value* x = net.input("input", {1, kBands, kFrames});
  net.scope("stem");
  x = net.conv(x, 16, along_time(3), Act::kRelu);
  int index = 0;
  for (int64_t out : {24, 24, 32, 32, 48, 48}) {
    net.scope("block" + std::to_string(index));
    x = temporal_block(net, x, out, index++ % 2 == 0 ? 2 : 1);
  }
  net.scope("head");
  return net.finish(net.classifier(x, kClasses));
}

}  // namespace lathe::zoo
