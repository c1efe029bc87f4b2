// ConvNeXt-tiny, as PyTorch exports it: channels last around the linear layers.
#include <string>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

Value* to_channels_last(NetBuilder& net, Value* x) {
  return net.transpose(x, {0, 2, 3, 1});
}

Value* to_channels_first(NetBuilder& net, Value* x) {
  return net.transpose(x, {0, 3, 1, 2});
}

// Over the channels of an image.
Value* image_norm(NetBuilder& net, Value* x) {
  return to_channels_first(net, net.layer_norm(to_channels_last(net, x)));
}

Value* block(NetBuilder& net, Value* x) {
  int64_t width = NetBuilder::channels(x);
  Value* y = net.depthwise(x, 7);
  y = net.layer_norm(to_channels_last(net, y));
  y = net.gelu(net.linear(y, 4 * width));
  y = to_channels_first(net, net.linear(y, width));
  y = net.mul(y, net.uniform("scale", {width, 1, 1}, 0.1f, 1.0f));
  return net.add(x, y);
}

}  // namespace

ir::Model convnext_tiny(uint64_t seed) {
  NetBuilder net("convnext_tiny", seed);
  net.scope("stem");
  Value* x = image_norm(net, net.conv(net.image(224), 96, unpadded(4, 4)));
  const int blocks[] = {3, 3, 9, 3};
  for (int stage = 0; stage < 4; ++stage) {
    std::string name = "stage" + std::to_string(stage + 1);
    if (stage > 0) {
      net.scope(name + ".down");
      x = net.conv(image_norm(net, x), 96 << stage, unpadded(2, 2));
    }
    for (int i = 0; i < blocks[stage]; ++i) {
      net.scope(name + "." + std::to_string(i));
      x = block(net, x);
    }
  }
  net.scope("head");
  x = net.flatten(image_norm(net, net.global_pool(x)));
  return net.finish(net.linear(x, 1000));
}

}  // namespace lathe::zoo
