// MobileNetV3-large and EfficientNet-B0: inverted residuals with
// squeeze-excite.
#include <algorithm>
#include <string>

#include "tests/zoo/architectures.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;

// The multiple of eight nearest to `width`, at most a tenth below it.
int64_t round_to_eight(int64_t width) {
  int64_t rounded = std::max<int64_t>(8, (width + 4) / 8 * 8);
  return rounded * 10 < width * 9 ? rounded + 8 : rounded;
}

}  // namespace

ir::Model mobilenet_v3_large(uint64_t seed, const Widths& widths,
                             int64_t size) {
  NetBuilder net("mobilenet_v3_large", seed);
  net.scope("stem");
  Value* x = net.conv(net.image(size), widths(16), 3, 2, Act::kHardSwish);
  constexpr Act kRelu = Act::kRelu, kSwish = Act::kHardSwish;
  struct Row {
    int64_t kernel, hidden, out;
    bool squeeze;
    Act act;
    int64_t stride;
  };
  const Row rows[] = {
      {3, 16, 16, false, kRelu, 1},   {3, 64, 24, false, kRelu, 2},
      {3, 72, 24, false, kRelu, 1},   {5, 72, 40, true, kRelu, 2},
      {5, 120, 40, true, kRelu, 1},   {5, 120, 40, true, kRelu, 1},
      {3, 240, 80, false, kSwish, 2}, {3, 200, 80, false, kSwish, 1},
      {3, 184, 80, false, kSwish, 1}, {3, 184, 80, false, kSwish, 1},
      {3, 480, 112, true, kSwish, 1}, {3, 672, 112, true, kSwish, 1},
      {5, 672, 160, true, kSwish, 2}, {5, 960, 160, true, kSwish, 1},
      {5, 960, 160, true, kSwish, 1}};
  int64_t published_in = 16, index = 0;
  for (const Row& row : rows) {
    net.scope("block" + std::to_string(++index));
    InvertedResidual block;
    block.kernel = row.kernel;
    block.stride = row.stride;
    block.act = row.act;
    if (row.hidden != published_in) block.hidden = widths(row.hidden);
    bool same = row.stride == 1 && row.out == published_in;
    block.out = same ? NetBuilder::channels(x) : widths(row.out);
    if (row.squeeze)
      block.squeeze = {round_to_eight(block.hidden / 4), Act::kRelu,
                       /*hard=*/true};
    x = inverted_residual(net, x, block);
    published_in = row.out;
  }
  net.scope("head");
  x = net.conv(x, widths(960), 1, 1, kSwish);
  x = net.linear(net.flatten(net.global_pool(x)), widths(1280), kSwish);
  return net.finish(net.linear(x, 1000));
}

ir::Model efficientnet_b0(uint64_t seed, const Widths& widths, int64_t size) {
  NetBuilder net("efficientnet_b0", seed);
  net.scope("stem");
  Value* x = net.conv(net.image(size), widths(32), 3, 2, Act::kSwish);
  struct Row {
    int64_t expansion, kernel, stride, out;
    int blocks;
  };
  const Row rows[] = {{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2},  {6, 5, 2, 40, 2},
                      {6, 3, 2, 80, 3}, {6, 5, 1, 112, 3}, {6, 5, 2, 192, 4},
                      {6, 3, 1, 320, 1}};
  int64_t published_in = 32, index = 0;
  for (const Row& row : rows) {
    int64_t out = widths(row.out);
    for (int i = 0; i < row.blocks; ++i) {
      net.scope("block" + std::to_string(++index));
      InvertedResidual block;
      block.kernel = row.kernel;
      block.stride = i == 0 ? row.stride : 1;
      block.act = Act::kSwish;
      if (row.expansion > 1)
        block.hidden = widths(row.expansion * published_in);
      block.out = out;
      block.squeeze = {std::max<int64_t>(1, NetBuilder::channels(x) / 4),
                       Act::kSwish, /*hard=*/false};
      x = inverted_residual(net, x, block);
      published_in = row.out;
    }
  }
  net.scope("head");
  x = net.conv(x, widths(1280), 1, 1, Act::kSwish);
  return net.finish(net.classifier(x, 1000));
}

}  // namespace lathe::zoo
