#include "tests/zoo/blocks.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "passes/base/random.h"

namespace lathe::zoo {
namespace {

int64_t random_multiple(Random& random) {
  double kind = random.uniform();
  if (kind < 0.45) return 16;
  if (kind < 0.70) return 8;
  if (kind < 0.85) return 4;
  return 1;
}

}  // namespace

Widths published_widths() {
  return [](int64_t published) { return published; };
}

Widths random_widths(uint64_t seed) {
  auto random = std::make_shared<Random>(derive_seed(seed, "widths"));
  return [random](int64_t published) {
    double width = random->uniform(0.4, 1.0) * static_cast<double>(published);
    int64_t multiple = std::min(random_multiple(*random), published);
    int64_t most = published / multiple;
    int64_t count = std::llround(width / static_cast<double>(multiple));
    return multiple * std::clamp<int64_t>(count, 1, most);
  };
}

ir::Value* squeeze_excite(NetBuilder& net, ir::Value* x,
                          const SqueezeExcite& block) {
  ir::Value* gate = net.global_pool(x);
  gate = net.conv(gate, block.squeezed, 1, 1, block.act);
  gate = net.conv(gate, NetBuilder::channels(x), 1);
  if (block.hard)
    gate = net.add_node("HardSigmoid", {gate}, {{"alpha", 1.0f / 6}});
  else
    gate = net.add_node("Sigmoid", {gate});
  return net.mul(x, gate);
}

ir::Value* inverted_residual(NetBuilder& net, ir::Value* x,
                             const InvertedResidual& block) {
  ir::Value* y = x;
  if (block.hidden > 0) y = net.conv(y, block.hidden, 1, 1, block.act);
  y = net.depthwise(y, block.kernel, block.stride, block.act);
  if (block.squeeze.squeezed > 0) y = squeeze_excite(net, y, block.squeeze);
  y = net.conv(y, block.out, 1);
  bool same = block.stride == 1 && block.out == NetBuilder::channels(x);
  return same ? net.add(x, y) : y;
}

}  // namespace lathe::zoo
