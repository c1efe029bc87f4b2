#include <algorithm>
#include <cmath>

#include "calibration/latency/probe/families.h"

namespace lathe::latency {
namespace {

ir::Value* stem(NetworkBuilder& b, const ImagePlan& plan,
                const char* activation) {
  ir::Value* x = b.input({1, 3, plan.size, plan.size});
  return b.activate(b.conv(x, b.width(8, 48), 3, plan.size < 64 ? 1 : 2),
                    activation);
}

int64_t depthwise_size(NetworkBuilder& b) {
  return b.pick<int64_t>({3, 3, 3, 3, 5, 5, 7});
}

}  // namespace

void add_inverted(NetworkBuilder& b) {
  ImagePlan plan = plan_image(b, 8e6, 2.5e8);
  plan.stages = b.between(3, 5);
  const char* act = b.pick<const char*>(
      {"clip", "clip", "relu", "hard_swish", "swish", "swish"});
  bool gated = b.chance(0.5);
  ir::Value* x = stem(b, plan, act);
  double share = plan.macs / static_cast<double>(plan.stages);
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    int64_t ratio = stage == 0 ? b.pick<int64_t>({1, 3, 4})
                               : b.pick<int64_t>({2, 3, 4, 6, 6});
    int64_t stride = stage > 0 && b.dim(x, 2) > 6 ? 2 : 1;
    double pixels = area(x) / static_cast<double>(stride * stride);
    int64_t out = width_within(b, share / 1.5,
                               2.5 * static_cast<double>(ratio) * pixels, 224);
    double end = b.macs() + share;
    for (int block = 0; block < 4 && (block == 0 || b.macs() < end * 0.85);
         ++block) {
      int64_t step = block == 0 ? stride : 1;
      int64_t inner = b.dim(x, 1) * ratio;
      ir::Value* y = x;
      if (ratio > 1) y = b.activate(b.conv(y, inner, 1), act);
      y = b.activate(b.depthwise(y, depthwise_size(b), step), act);
      if (gated) {
        bool hard = act == std::string_view("hard_swish");
        y = add_gate(b, y, std::max<int64_t>(4, inner / b.between(4, 16)),
                     hard ? "relu" : act, hard ? "hard_sigmoid" : "sigmoid");
      }
      y = b.conv(y, out, 1);
      x = step == 1 && b.dim(x, 1) == out ? b.add(x, y) : y;
    }
  }
  if (b.chance(0.7))
    x = b.activate(
        b.conv(x,
               width_within(b, plan.macs / 3,
                            area(x) * static_cast<double>(b.dim(x, 1)) / 600,
                            1280),
               1),
        act);
  b.output(b.classifier(x, b.classes()));
}

void add_separable(NetworkBuilder& b) {
  ImagePlan plan = plan_image(b, 1e7, 4e8);
  plan.stages = b.between(3, 5);
  const char* act = b.pick<const char*>({"relu", "relu", "clip", "hard_swish"});
  ir::Value* x = stem(b, plan, act);
  double share = plan.macs / static_cast<double>(plan.stages);
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    int64_t stride = stage > 0 && b.dim(x, 2) > 6 ? 2 : 1;
    double pixels = area(x) / static_cast<double>(stride * stride);
    double end = b.macs() + share;
    for (int block = 0; block < 5 && (block == 0 || b.macs() < end * 0.85);
         ++block) {
      x = b.activate(b.depthwise(x, depthwise_size(b), block ? 1 : stride),
                     act);
      x = b.activate(b.conv(x, width_within(b, share / 1.5, pixels, 1024), 1),
                     act);
    }
  }
  b.output(b.classifier(x, b.classes()));
}

void add_shuffle(NetworkBuilder& b) {
  ImagePlan plan = plan_image(b, 4e6, 1.5e8);
  ir::Value* x = stem(b, plan, "relu");
  if (plan.size >= 96) x = b.pool(x, "MaxPool", 3, 2);
  bool slices = b.chance(0.3);
  double share = plan.macs / static_cast<double>(plan.stages);
  auto unit = [&](ir::Value* from, int64_t width, int64_t stride) {
    from = b.activate(b.conv(from, width, 1), "relu");
    from = b.depthwise(from, 3, stride);
    return b.activate(b.conv(from, width, 1), "relu");
  };
  auto shuffle = [&](ir::Value* from) {
    Dims d = NetworkBuilder::dims_of(from);
    ir::Value* y = b.reshape(from, {1, 2, d[1] / 2, d[2], d[3]});
    return b.reshape(b.transpose(y, {0, 2, 1, 3, 4}), d);
  };
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    int64_t half = width_within(b, share / 2, 2 * area(x) / 4, 320);
    double end = b.macs() + share;
    ir::Value* left = b.conv(b.depthwise(x, 3, 2), half, 1);
    x = shuffle(b.concat({b.activate(left, "relu"), unit(x, half, 2)}, 1));
    for (int block = 0; block < 5 && (block == 0 || b.macs() < end * 0.85);
         ++block) {
      ir::Value *kept, *changed;
      if (slices) {
        kept = b.slice(x, 1, 0, half);
        changed = b.slice(x, 1, half, 2 * half);
      } else {
        std::vector<ir::Value*> parts = b.split(x, 1, {half, half});
        kept = parts[0];
        changed = parts[1];
      }
      x = shuffle(b.concat({kept, unit(changed, half, 1)}, 1));
    }
  }
  x = b.activate(b.conv(x, b.width(128, 768), 1), "relu");
  b.output(b.classifier(x, b.classes()));
}

void add_convnext(NetworkBuilder& b) {
  double macs = b.draw_macs(1e7, 1.2e9);
  int64_t stages = b.between(2, 4);
  int64_t size = b.pick<int64_t>({64, 96, 128, 160, 224});
  double share = macs / static_cast<double>(stages);
  int64_t patch = b.pick<int64_t>({2, 4, 4});
  bool scaled = b.chance(0.7);
  const char* act = b.chance(0.85) ? "gelu_erf" : "relu";
  ir::Value* x = b.input({1, 3, size, size});
  auto unpadded = [&](ir::Value* from, int64_t width, int64_t step) {
    ir::Value* y = b.conv(from, width, Window::square(step, step));
    b.attr("pads", Dims{0, 0, 0, 0});
    Dims dims = {1, width, b.dim(from, 2) / step, b.dim(from, 3) / step};
    y->type.shape = ir::to_shape(dims);
    return y;
  };
  auto norm_channels = [&](ir::Value* from) {
    return b.transpose(b.layer_norm(b.transpose(from, {0, 2, 3, 1})),
                       {0, 3, 1, 2});
  };
  for (int64_t stage = 0; stage < stages; ++stage) {
    int64_t step = stage == 0 ? patch : 2;
    if (b.dim(x, 2) < 2 * step) break;
    double pixels = area(x) / static_cast<double>(step * step);
    int64_t width = width_within(b, share / 2, 8 * pixels, 512);
    double end = b.macs() + share;
    x = unpadded(stage == 0 ? x : norm_channels(x), width, step);
    if (stage == 0) x = norm_channels(x);
    for (int block = 0; block < 4 && (block == 0 || b.macs() < end * 0.85);
         ++block) {
      ir::Value* y = b.depthwise(x, b.chance(0.85) ? 7 : 5);
      y = b.layer_norm(b.transpose(y, {0, 2, 3, 1}));
      y = b.activate(b.dense(y, 4 * width), act);
      y = b.dense(y, width);
      if (scaled) y = b.mul(b.filled({width}, 0.5f, 1), y);
      x = b.add(x, b.transpose(y, {0, 3, 1, 2}));
    }
  }
  ir::Value* pooled = b.reduce_mean(x, {2, 3}, /*keep=*/false);
  b.output(b.gemm(b.layer_norm(pooled), b.classes()));
}

}  // namespace lathe::latency
