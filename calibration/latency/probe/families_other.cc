#include <algorithm>
#include <cmath>

#include "calibration/latency/probe/families.h"

namespace lathe::latency {
namespace {

// A shape of about `elements`: an image, or tokens by features.
Dims soup_shape(NetworkBuilder& b, double elements) {
  if (b.chance(0.6)) {
    int64_t side = b.pick<int64_t>({7, 14, 28, 28, 56, 112, b.between(5, 64)});
    double channels =
        std::clamp(elements / static_cast<double>(side * side), 4.0, 512.0);
    return {1, b.width(channels / 2, channels), side, side};
  }
  int64_t tokens = b.between(4, 400);
  double width =
      std::clamp(elements / static_cast<double>(tokens), 8.0, 1024.0);
  return {1, tokens, b.width(width / 2, width)};
}

// A constant that broadcasts along some axes of `dims`.
ir::Value* broadcast_operand(NetworkBuilder& b, const Dims& dims) {
  Dims shape;
  switch (b.between(0, 4)) {
    case 0:
      return b.constant(0.7f);
    case 1:  // one number for each row of the last axis
      shape = {dims.back()};
      break;
    case 2:  // one for each channel
      shape = Dims(dims.size() - 1, 1);
      shape[0] = dims[1];
      break;
    case 3:
      shape = dims;
      break;
    default:
      shape = dims;
      shape.back() = 1;
  }
  return b.filled(shape, 0.5f, 1.5f);
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
  if (b.chance(0.3)) {  // masks at a multiple of the size, as in DeepLab
    int64_t scale = b.pick<int64_t>({2, 4, 8});
    constexpr double kMostElements = 3e6;
    double elements =
        area(x) * static_cast<double>(b.dim(x, 1) * scale * scale);
    if (elements <= kMostElements)
      x = b.resize(x, scale, b.chance(0.8) ? "linear" : "nearest");
  }
  b.output(b.chance(0.5) ? b.activate(x, "sigmoid") : x);
}

void add_large(NetworkBuilder& b) {
  constexpr double kMostElements = 3e6;  // of an activation
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
  x = b.conv(x, b.between(1, 21), 1);
  b.output(b.chance(0.5) ? b.activate(x, "sigmoid") : x);
}

void add_elementwise(NetworkBuilder& b) {
  double elements = b.log_uniform(1e3, 6e5);
  Dims dims = soup_shape(b, elements);
  ir::Value* x = b.input(dims);
  ir::Value* other = b.input(dims);
  int64_t nodes = b.between(10, 24);
  for (int64_t i = 0; i < nodes; ++i) {
    switch (b.between(0, 15)) {
      case 0:
        x = b.add(x, b.chance(0.5) ? other : broadcast_operand(b, dims));
        break;
      case 1:
        x = b.mul(x, b.chance(0.5) ? other : broadcast_operand(b, dims));
        break;
      case 2:
        x = b.binary("Sub", x,
                     b.chance(0.5) ? other : broadcast_operand(b, dims));
        break;
      case 3:
        x = b.binary("Div", x, broadcast_operand(b, dims));
        break;
      case 4:
        x = b.unary("Sqrt", b.unary("Abs", x));
        break;
      case 5:
        x = b.unary("Exp", b.unary("Tanh", x));
        break;
      case 6:
        x = b.activate(x, "sigmoid");
        break;
      case 7:
        x = b.unary("Erf", x);
        break;
      case 8:
        x = b.binary("Pow", b.activate(x, "sigmoid"),
                     b.constant(b.pick({2.0f, 3.0f, 0.5f})));
        break;
      case 9:
        x = b.activate(x, "clip");
        break;
      case 10:
        x = b.activate(x, b.pick<const char*>({"leaky_relu", "hard_swish",
                                               "hard_sigmoid", "relu"}));
        break;
      case 11: {  // normalised by its mean along some axes
        std::vector<int64_t> axes =
            dims.size() == 4 && b.chance(0.5) ? std::vector<int64_t>{2, 3}
            : b.chance(0.3)
                ? std::vector<int64_t>{1}
                : std::vector<int64_t>{static_cast<int64_t>(dims.size()) - 1};
        x = b.binary("Sub", x, b.reduce_mean(x, axes, /*keep=*/true));
        break;
      }
      case 12:
        if (dims.size() == 4) {
          x = b.batch_norm(x);
          break;
        }
        x = b.layer_norm(x);
        break;
      case 13:
        x = b.softmax(x);
        break;
      case 14:
        x = b.activate(b.activate(x, "tanh"),
                       b.chance(0.5) ? "gelu_erf" : "gelu_tanh");
        break;
      default:
        x = b.binary(b.chance(0.5) ? "Max" : "Min", x, other);
    }
  }
  b.output(b.activate(x, "tanh"));
}

void add_pooling(NetworkBuilder& b) {
  int64_t side = b.pick<int64_t>({14, 28, 56, 56, 112, b.between(12, 100)});
  double pixels = static_cast<double>(side * side);
  double most = std::clamp(8e5 / pixels, 8.0, 512.0);
  ir::Value* x = b.input({1, b.width(most / 4, most), side, side});
  bool convs = b.chance(0.6);  // then pooling runs in the blocked layout
  std::vector<ir::Value*> results;
  for (int i = 0; i < 7 && b.dim(x, 2) >= 6; ++i) {
    if (convs && b.chance(0.6))
      x = b.activate(
          b.conv(x, b.width(most / 4, most), b.pick<int64_t>({1, 3})), "relu");
    const char* type = b.chance(0.55) ? "MaxPool" : "AveragePool";
    int64_t kernel = b.pick<int64_t>({2, 3, 3, 5, 7});
    int64_t stride = kernel == 2 || b.chance(0.4) ? 2 : 1;
    ir::Value* y = b.pool(x, type, kernel, stride);
    if (b.chance(0.3)) {
      ir::Value* flat =
          b.chance(0.5) ? b.global_pool(y)
                        : b.op("GlobalMaxPool", {y}, {1, b.dim(y, 1), 1, 1});
      results.push_back(b.reshape(flat, {1, b.dim(y, 1)}));
    }
    x = y;
  }
  results.push_back(b.reduce_mean(x, {2, 3}, /*keep=*/false));
  ir::Value* y = results.size() > 1 ? b.concat(results, 1) : results[0];
  b.output(b.gemm(y, b.width(10, 200)));
}

void add_movement(NetworkBuilder& b) {
  double elements = b.log_uniform(2e3, 4e5);
  Dims dims = soup_shape(b, elements);
  if (dims.size() == 3) dims.insert(dims.begin() + 1, 1);
  ir::Value* x = b.input(dims);
  int64_t nodes = b.between(8, 16);
  for (int64_t i = 0; i < nodes; ++i) {
    Dims d = NetworkBuilder::dims_of(x);
    switch (b.between(0, 9)) {
      case 0:
        x = b.transpose(x, {0, 2, 3, 1});
        break;
      case 1:
        x = b.transpose(x, {0, 3, 1, 2});
        break;
      case 2:
        x = b.transpose(x, b.chance(0.5) ? std::vector<int64_t>{0, 1, 3, 2}
                                         : std::vector<int64_t>{0, 2, 1, 3});
        break;
      case 3: {  // halves along an axis, swapped
        int64_t axis = b.between(1, 3), size = d[static_cast<size_t>(axis)];
        if (size < 2) break;
        std::vector<ir::Value*> parts =
            b.split(x, axis, {size / 2, size - size / 2});
        x = b.concat({b.unary("Relu", parts[1]), parts[0]}, axis);
        break;
      }
      case 4: {
        int64_t axis = b.between(1, 3), size = d[static_cast<size_t>(axis)];
        if (size < 8) break;
        x = b.slice(x, axis, size / 8, size);
        break;
      }
      case 5: {  // around the last two axes
        int64_t by = b.between(1, 3);
        ir::Value* pads = b.integers({0, 0, by, by, 0, 0, by, by});
        x = b.op("Pad", {x, pads}, {d[0], d[1], d[2] + 2 * by, d[3] + 2 * by});
        if (b.chance(0.5)) b.attr("mode", std::string("constant"));
        break;
      }
      case 6: {
        int64_t size = d[1] * d[2];
        x = b.reshape(b.transpose(b.reshape(x, {d[0], size, d[3]}), {0, 2, 1}),
                      {d[0], d[3], d[1], d[2]});
        break;
      }
      case 7: {  // rows picked by number
        std::vector<int64_t> rows;
        for (int64_t row = 0; row < d[2]; ++row)
          rows.push_back((row * 7) % d[2]);
        x = b.op("Gather", {x, b.integers(rows)}, d);
        b.attr("axis", int64_t{2});
        break;
      }
      case 8: {  // parts that overlap, so that no Split takes their place
        int64_t part = d[3] / 2;
        if (part < 2) break;
        x = b.add(b.slice(x, 3, 0, part),
                  b.slice(x, 3, part / 2, part / 2 + part));
        break;
      }
      default:
        if (d[2] * d[3] * d[1] < 100000)
          // Not linear: the runtime moves transposes behind it and then
          // refuses the scales.
          x = b.resize(x, b.pick<int64_t>({2, 2, 3}), "nearest");
        else
          x = b.unary("Neg", x);
    }
    if (b.chance(0.4)) x = b.mul(x, b.constant(0.9f));
  }
  b.output(b.unary("Neg", x));
}

}  // namespace lathe::latency
