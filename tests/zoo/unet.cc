// U-Net, with either way up.
#include <string>
#include <vector>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

constexpr int kDepth = 4;
constexpr int64_t kWidth = 16, kClasses = 21;

Value* two_convs(NetBuilder& net, Value* x, const Widths& widths,
                 int64_t published) {
  x = net.conv(x, widths(published), 3, 1, Act::kRelu);
  return net.conv(x, widths(published), 3, 1, Act::kRelu);
}

ir::Model build(const std::string& name, bool transposed, uint64_t seed,
                const Widths& widths, int64_t size) {
  NetBuilder net(name, seed);
  Value* x = net.image(size);
  std::vector<Value*> skips;
  for (int level = 0; level < kDepth; ++level) {
    net.scope("down" + std::to_string(level));
    x = two_convs(net, x, widths, kWidth << level);
    skips.push_back(x);
    x = net.max_pool(x, unpadded(2, 2));
  }
  net.scope("bottom");
  x = two_convs(net, x, widths, kWidth << kDepth);
  for (int level = kDepth - 1; level >= 0; --level) {
    net.scope("up" + std::to_string(level));
    int64_t width = kWidth << level;
    if (transposed)
      x = net.up_conv(x, widths(width));
    else
      x = net.conv(net.resize2(x, "linear"), widths(width), 1);
    x = net.concat({skips[static_cast<size_t>(level)], x});
    x = two_convs(net, x, widths, width);
  }
  net.scope("head");
  return net.finish(net.conv(x, kClasses, 1));
}

}  // namespace

ir::Model unet(uint64_t seed, const Widths& widths, int64_t size) {
  return build("unet", /*transposed=*/true, seed, widths, size);
}

ir::Model unet_resize(uint64_t seed, const Widths& widths, int64_t size) {
  return build("unet_resize", /*transposed=*/false, seed, widths, size);
}

}  // namespace lathe::zoo
