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

// What fewer networks are made of, of the same shape as x.
ir::Value* add_rarer(NetworkBuilder& b, ir::Value* x, ir::Value* other) {
  const Dims dims = NetworkBuilder::dims_of(x);
  const auto last = static_cast<int64_t>(dims.size()) - 1;
  const auto reduced = [&](const char* type) {
    Dims rows = dims;
    rows.back() = 1;
    ir::Value* y = b.op(type, {x}, rows);
    b.attr("axes", std::vector<int64_t>{last});
    return y;
  };
  switch (b.between(0, 12)) {
    case 0: {
      Dims channels(dims.size() - 1, 1);
      channels[0] = dims[1];
      return b.op("PRelu", {x, b.filled(channels, 0.1f, 0.3f)}, dims);
    }
    case 1:
      return b.unary("Elu", x);
    case 2:
      return b.mul(x, b.unary("Tanh", b.unary("Softplus", x)));
    case 3:
      return b.unary("Log", b.add(b.unary("Abs", x), b.constant(1)));
    case 4:
      return b.add(b.unary("Sin", x), b.unary("Cos", x));
    case 5: {
      ir::Value* mask = b.op("Greater", {x, b.constant(0.1f)}, dims);
      mask->type.elem = ir::DataType::kBool;
      return b.op("Where", {mask, x, other}, dims);
    }
    case 6:
      return b.binary("Sub", x, reduced("ReduceMax"));
    case 7:
      return b.binary(
          "Div", b.unary("Exp", b.unary("Tanh", x)),
          b.add(b.unary("Abs", reduced("ReduceL2")), b.constant(1)));
    case 8: {
      ir::Value* y = b.op("LogSoftmax", {x}, dims);
      b.attr("axis", last);
      return b.mul(y, b.constant(0.1f));
    }
    case 9: {
      ir::Value* y = b.op("LpNormalization", {x}, dims);
      b.attr("axis", last);
      return y;
    }
    case 10: {
      Dims rows = dims;
      rows.pop_back();
      ir::Value* best = b.op("ArgMax", {x}, rows);
      b.attr("axis", last);
      b.attr("keepdims", int64_t{0});
      best->type.elem = ir::DataType::kInt64;
      b.output(best);
      return b.unary("Floor", b.mul(x, b.constant(8)));
    }
    case 11:
      if (dims.size() == 4) {
        ir::Value* y = b.op("LRN", {x}, dims);
        b.attr("size", int64_t{5});
        return y;
      }
      return b.unary("Softsign", x);
    default:
      return b.op("InstanceNormalization",
                  {x, b.filled({dims[1]}, 0.8f, 1.2f),
                   b.filled({dims[1]}, -0.1f, 0.1f)},
                  dims);
  }
}

}  // namespace

void add_elementwise(NetworkBuilder& b) {
  double elements = b.log_uniform(1e3, 6e5);
  Dims dims = soup_shape(b, elements);
  ir::Value* x = b.input(dims);
  ir::Value* other = b.input(dims);
  int64_t nodes = b.between(10, 24);
  for (int64_t i = 0; i < nodes; ++i) {
    if (b.chance(0.2)) {
      x = add_rarer(b, x, other);
      continue;
    }
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
    switch (b.between(0, 11)) {
      case 10:  // pixels of blocks to channels, or back
        if (d[2] % 2 == 0 && d[3] % 2 == 0) {
          x = b.op("SpaceToDepth", {x}, {d[0], 4 * d[1], d[2] / 2, d[3] / 2});
          b.attr("blocksize", int64_t{2});
        } else if (d[1] % 4 == 0) {
          x = b.op("DepthToSpace", {x}, {d[0], d[1] / 4, 2 * d[2], 2 * d[3]});
          b.attr("blocksize", int64_t{2});
        }
        break;
      case 11: {  // repeated, and the first of it taken
        ir::Value* twice = b.op("Tile", {x, b.integers({1, 1, 1, 2})},
                                {d[0], d[1], d[2], 2 * d[3]});
        x = b.slice(twice, 3, d[3] / 2, d[3] / 2 + d[3]);
        break;
      }
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
