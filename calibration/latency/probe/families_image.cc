#include <algorithm>
#include <cmath>

#include "calibration/latency/probe/families.h"

namespace lathe::latency {
namespace {

ir::Value* stem(NetworkBuilder& b, const ImagePlan& plan,
                const char* activation) {
  ir::Value* x = b.input({1, b.chance(0.85) ? 3 : b.between(1, 4), plan.size,
                          b.chance(0.8) ? plan.size : plan.size * 3 / 4});
  bool small = plan.size < 64;
  int64_t kernel = small ? 3 : b.pick<int64_t>({3, 3, 5, 7, 7});
  // VGG keeps the resolution.
  int64_t stride = small || (kernel == 3 && b.chance(0.25)) ? 1 : 2;
  double outputs = static_cast<double>(plan.size * plan.size) /
                   static_cast<double>(stride * stride);
  double most =
      plan.macs / 4 /
      (outputs * 3 * static_cast<double>(kernel) * static_cast<double>(kernel));
  ir::Value* y =
      b.conv(x, b.width(std::min(8.0, most), std::clamp(most, 4.0, 96.0)),
             kernel, stride);
  y = b.activate(y, activation);
  if (plan.size >= 96 && b.chance(0.6))
    y = b.pool(y, b.chance(0.9) ? "MaxPool" : "AveragePool",
               b.pick<int64_t>({2, 3}), 2);
  return y;
}

const char* conv_activation(NetworkBuilder& b) {
  return b.pick<const char*>({"relu", "relu", "relu", "relu", "clip", "swish",
                              "hard_swish", "leaky_relu", ""});
}

// A stride at the start of every stage but the first.
int64_t stage_stride(const ir::Value* x, int64_t stage) {
  return stage > 0 && NetworkBuilder::dims_of(x)[2] > 4 ? 2 : 1;
}

using Body = ir::Value* (*)(NetworkBuilder&, ir::Value*, int64_t width,
                            int64_t out, int64_t stride, const char* act);

// x + body(x), each stage until its share is spent.
void add_stages(NetworkBuilder& b, Body body, double cost, int64_t expansion) {
  ImagePlan plan = plan_image(b, 2e7, 9e8);
  const char* act = b.chance(0.75) ? "relu" : conv_activation(b);
  ir::Value* x = stem(b, plan, act);
  double share = std::max(plan.macs - b.macs(), plan.macs / 2) /
                 static_cast<double>(plan.stages);
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    int64_t stride = stage_stride(x, stage);
    double pixels = area(x) / static_cast<double>(stride * stride);
    int64_t width = width_within(b, share / 1.5, cost * pixels);
    int64_t out = width * expansion;
    double end = b.macs() + share;
    for (int block = 0; block < 6 && (block == 0 || b.macs() < end * 0.85);
         ++block) {
      int64_t step = block == 0 ? stride : 1;
      ir::Value* y = body(b, x, width, out, step, act);
      ir::Value* skip = x;
      if (step > 1 || b.dim(x, 1) != out) {
        if (b.chance(0.15) && step > 1) {
          skip = b.pool(x, "AveragePool", 2, 2);
          // An odd size rounds differently; then the usual projection.
          if (b.dim(skip, 2) == b.dim(y, 2) && b.dim(skip, 3) == b.dim(y, 3))
            skip = b.conv(skip, out, 1);
          else
            skip = b.conv(x, out, 1, step);
        } else {
          skip = b.conv(x, out, 1, step);
        }
      }
      x = b.activate(b.chance(0.5) ? b.add(y, skip) : b.add(skip, y), act);
    }
  }
  b.output(b.classifier(x, b.classes()));
}

ir::Value* basic_body(NetworkBuilder& b, ir::Value* x, int64_t width,
                      int64_t out, int64_t stride, const char* act) {
  int64_t kernel = b.chance(0.88) ? 3 : 5;
  ir::Value* y = b.activate(b.conv(x, width, kernel, stride), act);
  return b.conv(y, out, 3);
}

ir::Value* bottleneck_body(NetworkBuilder& b, ir::Value* x, int64_t width,
                           int64_t out, int64_t stride, const char* act) {
  ir::Value* y = b.activate(b.conv(x, width, 1), act);
  y = b.activate(b.conv(y, width, 3, stride), act);
  return b.conv(y, out, 1);
}

ir::Value* grouped_body(NetworkBuilder& b, ir::Value* x, int64_t width,
                        int64_t out, int64_t stride, const char* act) {
  int64_t group_width = b.pick<int64_t>({4, 8, 8, 12, 16, 16, 20, 24, 28, 32});
  int64_t groups = std::max<int64_t>(2, width / group_width);
  width = groups * group_width;
  ir::Value* y = b.activate(b.conv(x, width, 1), act);
  y = b.activate(b.conv(y, width, Window::square(3, stride, groups)), act);
  if (b.chance(0.3))
    y = add_gate(b, y, std::max<int64_t>(4, width / 8), "relu", "sigmoid");
  return b.conv(y, out, 1);
}

}  // namespace

double area(const ir::Value* image) {
  Dims dims = NetworkBuilder::dims_of(image);
  return static_cast<double>(dims[2] * dims[3]);
}

int64_t width_within(NetworkBuilder& b, double share, double cost,
                     double most) {
  double high = std::clamp(std::sqrt(share / cost), 4.0, most);
  return b.width(std::max(4.0, high / 3), high);
}

ImagePlan plan_image(NetworkBuilder& b, double low_macs, double high_macs) {
  ImagePlan plan;
  if (b.chance(0.25)) {  // small images, small networks
    plan.size = b.pick<int64_t>({24, 28, 32, 32, 40, 48});
    plan.macs = b.draw_macs(low_macs / 20, high_macs / 5);
    plan.stages = b.between(2, 3);
    return plan;
  }
  plan.size = b.pick<int64_t>(
      {64, 96, 112, 128, 160, 192, 224, 224, 224, 224, 256, 320});
  double pixels = static_cast<double>(plan.size * plan.size) / (224.0 * 224.0);
  plan.macs = b.draw_macs(low_macs, high_macs) * std::sqrt(pixels);
  plan.stages = b.between(3, 4);
  return plan;
}

ir::Value* add_gate(NetworkBuilder& b, ir::Value* x, int64_t squeezed,
                    const char* inner, const char* gate) {
  ir::Value* y = b.global_pool(x);
  y = b.activate(b.conv(y, squeezed, 1), inner);
  y = b.activate(b.conv(y, b.dim(x, 1), 1), gate);
  return b.mul(x, y);
}

void add_residual(NetworkBuilder& b) {
  add_stages(b, basic_body, /*cost=*/18, /*expansion=*/1);
}

void add_bottleneck(NetworkBuilder& b) {
  int64_t expansion = b.pick<int64_t>({2, 4, 4});
  add_stages(b, bottleneck_body, 9.0 + 2.0 * static_cast<double>(expansion),
             expansion);
}

void add_grouped(NetworkBuilder& b) {
  int64_t expansion = b.pick<int64_t>({1, 2, 2});
  add_stages(b, grouped_body, 1.5 + 2.0 * static_cast<double>(expansion),
             expansion);
}

void add_plain(NetworkBuilder& b) {
  ImagePlan plan = plan_image(b, 2e7, 1.2e9);
  const char* act = conv_activation(b);
  ir::Value* x = stem(b, plan, act);
  double share = std::max(plan.macs - b.macs(), plan.macs / 2) /
                 static_cast<double>(plan.stages);
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    bool strided = b.chance(0.3);
    if (stage > 0 && !strided)
      x = b.pool(x, b.chance(0.85) ? "MaxPool" : "AveragePool", 2, 2);
    int64_t stride = stage > 0 && strided ? 2 : 1;
    double pixels = area(x) / static_cast<double>(stride * stride);
    double end = b.macs() + share;
    for (int block = 0; block < 5 && (block == 0 || b.macs() < end * 0.85);
         ++block) {
      int64_t kernel = b.pick<int64_t>({1, 3, 3, 3, 3, 5, 7});
      double cost = static_cast<double>(kernel * kernel) * pixels;
      Window window = Window::square(kernel, block == 0 ? stride : 1);
      if (kernel == 3 && b.chance(0.12)) window.dilation = 2;
      x = b.activate(b.conv(x, width_within(b, share, cost), window), act);
    }
  }
  if (b.chance(0.3)) {
    int64_t features = b.dim(x, 1) * b.dim(x, 2) * b.dim(x, 3);
    // A flattened image before wide products, as in VGG: mostly weights.
    if (features < 16384) {
      ir::Value* flat = b.op("Flatten", {x}, {1, features});
      ir::Value* y = b.activate(
          b.gemm(flat, b.width(16, std::min(1024.0, 6e6 / static_cast<double>(
                                                              features)))),
          "relu");
      b.output(b.gemm(y, b.classes()));
      return;
    }
  }
  b.output(b.classifier(x, b.classes()));
}

void add_inception(NetworkBuilder& b) {
  ImagePlan plan = plan_image(b, 2e7, 4e8);
  ir::Value* x = stem(b, plan, "relu");
  double share = std::max(plan.macs - b.macs(), plan.macs / 2) /
                 static_cast<double>(plan.stages);
  auto conv = [&](ir::Value* from, int64_t width, int64_t height,
                  int64_t breadth) {
    Window window;
    window.height = height;
    window.width = breadth;
    return b.activate(b.conv(from, width, window), "relu");
  };
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    if (stage > 0)
      x = b.concat(
          {b.pool(x, "MaxPool", 3, 2),
           b.activate(
               b.conv(x, width_within(b, share / 4, 9 * area(x) / 4), 3, 2),
               "relu")},
          1);
    double end = b.macs() + share;
    for (int block = 0; block < 3 && (block == 0 || b.macs() < end * 0.8);
         ++block) {
      double pixels = area(x), part = share / 6;
      std::vector<ir::Value*> branches;
      branches.push_back(conv(x, width_within(b, part, pixels), 1, 1));
      ir::Value* y = conv(x, width_within(b, part, 2 * pixels), 1, 1);
      branches.push_back(conv(y, width_within(b, part, 9 * pixels), 3, 3));
      if (b.chance(0.7)) {
        int64_t length = b.pick<int64_t>({3, 5, 7});
        y = conv(x, width_within(b, part, 2 * pixels), 1, 1);
        y = conv(y, width_within(b, part, 7 * pixels), 1, length);
        branches.push_back(
            conv(y, width_within(b, part, 7 * pixels), length, 1));
      }
      if (b.chance(0.6))
        branches.push_back(
            conv(b.pool(x, b.chance(0.5) ? "AveragePool" : "MaxPool", 3, 1),
                 width_within(b, part, pixels), 1, 1));
      x = b.concat(branches, 1);
    }
  }
  b.output(b.classifier(x, b.classes()));
}

void add_fire(NetworkBuilder& b) {
  ImagePlan plan = plan_image(b, 1e7, 4e8);
  ir::Value* x = stem(b, plan, "relu");
  double share = std::max(plan.macs - b.macs(), plan.macs / 2) /
                 static_cast<double>(plan.stages);
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    if (stage > 0) x = b.pool(x, "MaxPool", 3, 2);
    double end = b.macs() + share;
    for (int block = 0; block < 4 && (block == 0 || b.macs() < end * 0.85);
         ++block) {
      int64_t expand = width_within(b, share / 1.5, 3 * area(x));
      int64_t squeeze = std::max<int64_t>(3, expand / b.between(2, 5));
      if (b.chance(0.6)) squeeze = (squeeze + 7) / 8 * 8;
      ir::Value* y = b.activate(b.conv(x, squeeze, 1), "relu");
      x = b.concat({b.activate(b.conv(y, expand, 1), "relu"),
                    b.activate(b.conv(y, expand, 3), "relu")},
                   1);
    }
  }
  if (b.chance(0.5)) {  // a convolution as classifier
    x = b.activate(b.conv(x, b.classes(), 1), "relu");
    b.output(b.global_pool(x));
    return;
  }
  b.output(b.classifier(x, b.classes()));
}

void add_dense(NetworkBuilder& b) {
  ImagePlan plan = plan_image(b, 2e7, 4e8);
  ir::Value* x = stem(b, plan, "relu");
  double share = std::max(plan.macs - b.macs(), plan.macs / 2) /
                 static_cast<double>(plan.stages);
  auto unit = [&](ir::Value* from, int64_t width, int64_t kernel) {
    return b.conv(b.activate(b.batch_norm(from), "relu"), width, kernel);
  };
  for (int64_t stage = 0; stage < plan.stages; ++stage) {
    if (stage > 0)
      x = b.pool(unit(x, std::max<int64_t>(4, b.dim(x, 1) / 2), 1),
                 "AveragePool", 2, 2);
    double end = b.macs() + share;
    int64_t growth = std::min<int64_t>(
        64, width_within(b, share / 4, (36 + 4 * 4) * area(x)));
    for (int block = 0; block < 8 && (block < 2 || b.macs() < end * 0.9);
         ++block) {
      ir::Value* y = b.chance(0.85) ? unit(x, 4 * growth, 1) : x;
      x = b.concat({x, unit(y, growth, 3)}, 1);
    }
  }
  x = b.activate(b.batch_norm(x), "relu");
  b.output(b.classifier(x, b.classes()));
}

void add_heavy(NetworkBuilder& b) {
  int64_t side = b.pick<int64_t>({4, 7, 7, 13, 14, 14, 28});
  ir::Value* x = b.input({1, b.width(128, 512), side, side});
  constexpr double kMostBytes = 3e7;
  int64_t layers = b.between(2, 4);
  double macs = b.draw_macs(1e8, 1.2e9);
  for (int64_t layer = 0; layer < layers; ++layer) {
    int64_t kernel = b.pick<int64_t>({1, 3, 3});
    double inputs = static_cast<double>(kernel * kernel * b.dim(x, 1));
    double most = std::min({1536.0, macs / 2 / (inputs * area(x)),
                            (kMostBytes - b.weight_bytes()) / 8 / inputs});
    x = b.activate(
        b.conv(x, b.width(std::max(16.0, most / 4), std::max(32.0, most)),
               kernel),
        "relu");
  }
  if (b.chance(0.6)) x = b.pool(x, "MaxPool", 2, 2);
  if (b.chance(0.5)) {
    int64_t features = b.dim(x, 1) * b.dim(x, 2) * b.dim(x, 3);
    x = b.op("Flatten", {x}, {1, features});
    double most =
        (kMostBytes - b.weight_bytes()) / 4 / static_cast<double>(features);
    x = b.activate(b.gemm(x, b.width(16, std::clamp(most, 32.0, 4096.0))),
                   "relu");
    b.output(b.gemm(x, b.classes()));
    return;
  }
  b.output(b.classifier(x, b.classes()));
}

}  // namespace lathe::latency
