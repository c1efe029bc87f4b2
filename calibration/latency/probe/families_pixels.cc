#include <algorithm>
#include <cmath>

#include "calibration/latency/probe/families.h"

namespace lathe::latency {
namespace {

constexpr double kMostElements = 3e6;  // of an activation
constexpr double kMostOfMasks = 6e6;

// Masks larger than the features they are made of, as in DeepLab.
ir::Value* add_masks(NetworkBuilder& b, ir::Value* x) {
  if (!b.chance(0.5)) return x;
  const char* mode = b.chance(0.8) ? "linear" : "nearest";
  if (b.chance(0.5)) {
    int64_t scale = b.pick<int64_t>({2, 4, 8});
    double elements =
        area(x) * static_cast<double>(b.dim(x, 1) * scale * scale);
    return elements <= kMostOfMasks ? b.resize(x, scale, mode) : x;
  }
  const double most =
      std::sqrt(kMostOfMasks / static_cast<double>(b.dim(x, 1)));
  const auto side =
      static_cast<int64_t>(std::min(most, b.log_uniform(24, 640)));
  return b.resize_to(x, side, b.chance(0.7) ? side : side * 3 / 4, mode);
}

}  // namespace

void add_unet(NetworkBuilder& b) {
  double macs = b.chance(0.25) ? b.draw_macs(2e6, 2e7) : b.draw_macs(2e7, 6e8);
  int64_t size = b.pick<int64_t>({32, 64, 64, 96, 128, 160, 224});
  int64_t levels = size >= 64 ? b.between(2, 3) : 2;
  size = size / (int64_t{1} << levels) * (int64_t{1} << levels);
  const char* act =
      b.pick<const char*>({"relu", "relu", "leaky_relu", "swish"});
  ir::Value* x = b.input({1, b.pick<int64_t>({1, 3, 3}), size, size});
  double share = macs / static_cast<double>(2 * levels + 1);
  std::vector<ir::Value*> skips;
  for (int64_t level = 0; level <= levels; ++level) {
    int64_t width = width_within(b, share, 15 * area(x), 320);
    x = b.activate(b.conv(x, width, 3), act);
    x = b.activate(b.conv(x, width, 3), act);
    if (level == levels) break;
    skips.push_back(x);
    x = b.chance(0.8) ? b.pool(x, "MaxPool", 2, 2)
                      : b.activate(b.conv(x, width, 3, 2), act);
  }
  for (int64_t level = levels - 1; level >= 0; --level) {
    ir::Value* skip = skips[static_cast<size_t>(level)];
    int64_t width = b.dim(skip, 1);
    const char* up = b.pick<const char*>({"nearest", "linear", "transposed"});
    if (up == std::string_view("transposed"))
      x = b.conv_transpose(x, width, b.pick<int64_t>({2, 3, 4}));
    else
      x = b.resize(x, 2, up);
    x = b.chance(0.85) || b.dim(x, 1) != width ? b.concat({skip, x}, 1)
                                               : b.add(skip, x);
    x = b.activate(b.conv(x, width, 3), act);
  }
  x = b.conv(x, b.between(1, 21), 1);
  x = add_masks(b, x);
  b.output(b.chance(0.5) ? b.activate(x, "sigmoid") : x);
}

void add_large(NetworkBuilder& b) {
  int64_t size = b.pick<int64_t>({160, 224, 224, 257, 320, 384, 513});
  double macs = b.draw_macs(5e7, 8e8);
  const char* act = b.pick<const char*>({"relu", "relu", "clip", "swish"});
  ir::Value* x = b.input({1, b.pick<int64_t>({1, 3, 3, 4}), size,
                          b.chance(0.6) ? size : size * 3 / 4});
  for (int layer = 0; layer < 8 && (layer < 2 || b.macs() < macs * 0.8);
       ++layer) {
    int64_t stride = b.chance(layer == 0 ? 0.5 : 0.25) ? 2 : 1;
    double pixels = area(x) / static_cast<double>(stride * stride);
    double most = std::clamp(kMostElements / pixels, 4.0, 160.0);
    if (layer > 0 && b.chance(0.3)) {
      x = b.activate(b.depthwise(x, 3, stride), act);
      continue;
    }
    int64_t kernel = b.pick<int64_t>({1, 1, 3, 3, 3, 5});
    double cost = static_cast<double>(kernel * kernel * b.dim(x, 1)) * pixels;
    double width = std::clamp(macs / 3 / cost, 4.0, most);
    ir::Value* y =
        b.conv(x, b.width(std::max(4.0, width / 4), width), kernel, stride);
    bool joins = NetworkBuilder::dims_of(x) == NetworkBuilder::dims_of(y);
    x = joins && b.chance(0.7) ? b.add(x, y) : b.activate(y, act);
    if (b.chance(0.12)) x = b.pool(x, "MaxPool", 2, 2);
  }
  x = add_masks(b, b.conv(x, b.between(1, 21), 1));
  b.output(b.chance(0.5) ? b.activate(x, "sigmoid") : x);
}

}  // namespace lathe::latency
