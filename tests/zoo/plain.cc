// SqueezeNet 1.1 and VGG-11: no sums.
#include <string>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

Value* fire(NetBuilder& net, Value* x, const Widths& widths, int64_t squeezed,
            int64_t expanded) {
  x = net.conv(x, widths(squeezed), 1, 1, Act::kRelu);
  Value* narrow = net.conv(x, widths(expanded), 1, 1, Act::kRelu);
  Value* wide = net.conv(x, widths(expanded), 3, 1, Act::kRelu);
  return net.concat({narrow, wide});
}

Value* vgg11_features(NetBuilder& net, const Widths& widths, int64_t size) {
  Value* x = net.image(size);
  net.scope("features");
  for (int64_t out : {64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0})
    x = out == 0 ? net.max_pool(x, unpadded(2, 2))
                 : net.conv(x, widths(out), 3, 1, Act::kRelu);
  net.scope("head");
  return x;
}

}  // namespace

ir::Model squeezenet(uint64_t seed, const Widths& widths, int64_t size) {
  NetBuilder net("squeezenet", seed);
  net.scope("stem");
  Value* x = net.conv(net.image(size), widths(64), unpadded(3, 2), Act::kRelu);
  int index = 1;
  for (int64_t squeezed : {0, 16, 16, 0, 32, 32, 0, 48, 48, 64, 64}) {
    if (squeezed == 0) {
      x = net.max_pool(x, unpadded(3, 2), /*ceil=*/true);
      continue;
    }
    net.scope("fire" + std::to_string(++index));
    x = fire(net, x, widths, squeezed, 4 * squeezed);
  }
  net.scope("head");
  x = net.conv(x, 1000, 1, 1, Act::kRelu);
  return net.finish(net.flatten(net.global_pool(x)));
}

ir::Model vgg11(uint64_t seed, const Widths& widths, int64_t size) {
  NetBuilder net("vgg11", seed);
  Value* x = net.flatten(vgg11_features(net, widths, size));
  x = net.linear(x, widths(4096), Act::kRelu);
  x = net.linear(x, widths(4096), Act::kRelu);
  return net.finish(net.linear(x, 1000));
}

ir::Model vgg11_pooled(uint64_t seed, const Widths& widths, int64_t size) {
  NetBuilder net("vgg11_pooled", seed);
  Value* x = vgg11_features(net, widths, size);
  return net.finish(net.classifier(x, 1000));
}

}  // namespace lathe::zoo
