#include "calibration/latency/probe/network_builder.h"

#include <algorithm>
#include <cmath>

#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

constexpr int64_t kOpset = 17;
constexpr size_t kTableSize = 1 << 16;

// Normal numbers, the same in every process.
const std::vector<float>& table() {
  static const std::vector<float> numbers = [] {
    Random random(/*seed=*/0x7ab1e);
    std::vector<float> values(kTableSize);
    for (float& value : values) value = static_cast<float>(random.normal());
    return values;
  }();
  return numbers;
}

ir::ValueType type_of(ir::DataType elem, const Dims& dims) {
  ir::ValueType type;
  type.elem = elem;
  type.shape = ir::to_shape(dims);
  return type;
}

double count(const Dims& dims) {
  double product = 1;
  for (int64_t dim : dims) product *= static_cast<double>(dim);
  return product;
}

int64_t window_out(int64_t in, int64_t size, int64_t stride, int64_t dilation,
                   int64_t pad) {
  return (in + 2 * pad - dilation * (size - 1) - 1) / stride + 1;
}

}  // namespace

NetworkBuilder::NetworkBuilder(uint64_t seed, double work)
    : random_(seed), work_(work) {
  model_.ir_version = 8;
  model_.opset_imports[""] = kOpset;
  model_.producer_name = "lathe";
  model_.graph->name = "network";
}

int64_t NetworkBuilder::between(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random_.below(static_cast<uint64_t>(
                   std::max<int64_t>(high - low, 0) + 1)));
}

double NetworkBuilder::log_uniform(double low, double high) {
  return std::exp(random_.uniform(std::log(low), std::log(high)));
}

int64_t NetworkBuilder::width(double low, double high) {
  low = std::max(low, 1.0);
  double drawn = log_uniform(low, std::max(low, high));
  double kind = random_.uniform();
  double step = kind < 0.45 ? 16 : kind < 0.7 ? 8 : kind < 0.85 ? 4 : 1;
  while (step > 1 && drawn < step) step /= 2;
  return std::max<int64_t>(
      1, std::llround(drawn / step) * static_cast<int64_t>(step));
}

int64_t NetworkBuilder::classes() {
  return chance(0.4) ? pick<int64_t>({1000, 1000, 1001}) : width(10, 1000);
}

const Dims NetworkBuilder::dims_of(const ir::Value* value) {
  return ir::to_dims(*value->type.shape);
}

int64_t NetworkBuilder::dim(const ir::Value* value, size_t axis) const {
  return (*value->type.shape)[axis].value;
}

std::string NetworkBuilder::next_name(std::string_view type) {
  return std::string(type) + "_" + std::to_string(count_++);
}

ir::Value* NetworkBuilder::input(const Dims& dims, ir::DataType type) {
  return model_.graph->add_input(next_name("input"), type_of(type, dims));
}

void NetworkBuilder::output(ir::Value* value) {
  model_.graph->add_output(value);
}

ir::Value* NetworkBuilder::weight(const Dims& dims, double fan_in) {
  const std::vector<float>& numbers = table();
  float scale = static_cast<float>(1 / std::sqrt(std::max(fan_in, 1.0)));
  std::vector<float> values(static_cast<size_t>(count(dims)));
  size_t at = random_.below(kTableSize);
  for (float& value : values) {
    value = numbers[at] * scale;
    at = (at + 1) % kTableSize;
  }
  weight_bytes_ += 4 * count(dims);
  return model_.graph->add_initializer(next_name("weight"),
                                       ir::Tensor::from<float>(dims, values));
}

ir::Value* NetworkBuilder::constant(float value) {
  return model_.graph->add_initializer(next_name("constant"),
                                       ir::Tensor::scalar<float>(value));
}

ir::Value* NetworkBuilder::filled(const Dims& dims, float low, float high) {
  std::vector<float> values(static_cast<size_t>(count(dims)));
  for (float& value : values)
    value = static_cast<float>(random_.uniform(low, high));
  return model_.graph->add_initializer(next_name("weight"),
                                       ir::Tensor::from<float>(dims, values));
}

ir::Value* NetworkBuilder::integers(const std::vector<int64_t>& values) {
  return model_.graph->add_initializer(next_name("integers"),
                                       ir::Tensor::vector_i64(values));
}

std::vector<ir::Value*> NetworkBuilder::op_list(std::string_view type,
                                                std::vector<ir::Value*> inputs,
                                                const std::vector<Dims>& dims) {
  std::string name = next_name(type);
  std::vector<std::string> outputs;
  for (size_t i = 0; i < dims.size(); ++i)
    outputs.push_back(name + "_" + std::to_string(i));
  last_ = model_.graph->add_node(std::string(type), std::move(inputs), outputs);
  last_->name = name;
  for (size_t i = 0; i < dims.size(); ++i)
    last_->output(i)->type = type_of(ir::DataType::kFloat, dims[i]);
  return last_->outputs();
}

ir::Value* NetworkBuilder::op(std::string_view type,
                              std::vector<ir::Value*> inputs,
                              const Dims& dims) {
  return op_list(type, std::move(inputs), {dims})[0];
}

ir::Value* NetworkBuilder::conv(ir::Value* x, int64_t channels,
                                const Window& w) {
  int64_t in = dim(x, 1) / w.group;
  int64_t pad_h = w.dilation * (w.height - 1) / 2;
  int64_t pad_w = w.dilation * (w.width - 1) / 2;
  Dims dims = {
      dim(x, 0), channels,
      window_out(dim(x, 2), w.height, w.stride_height, w.dilation, pad_h),
      window_out(dim(x, 3), w.width, w.stride_width, w.dilation, pad_w)};
  double fan_in = static_cast<double>(in * w.height * w.width);
  macs_ += count(dims) * fan_in;
  ir::Value* result = op("Conv",
                         {x, weight({channels, in, w.height, w.width}, fan_in),
                          weight({channels}, 100)},
                         dims);
  attr("dilations", Dims{w.dilation, w.dilation});
  attr("group", w.group);
  attr("kernel_shape", Dims{w.height, w.width});
  attr("pads", Dims{pad_h, pad_w, pad_h, pad_w});
  attr("strides", Dims{w.stride_height, w.stride_width});
  return result;
}

ir::Value* NetworkBuilder::conv_1d(ir::Value* x, int64_t channels, int64_t size,
                                   int64_t stride, int64_t dilation,
                                   int64_t group) {
  int64_t in = dim(x, 1) / group, pad = dilation * (size - 1) / 2;
  Dims dims = {dim(x, 0), channels,
               window_out(dim(x, 2), size, stride, dilation, pad)};
  double fan_in = static_cast<double>(in * size);
  macs_ += count(dims) * fan_in;
  ir::Value* result = op(
      "Conv",
      {x, weight({channels, in, size}, fan_in), weight({channels}, 100)}, dims);
  attr("dilations", Dims{dilation});
  attr("group", group);
  attr("kernel_shape", Dims{size});
  attr("pads", Dims{pad, pad});
  attr("strides", Dims{stride});
  return result;
}

ir::Value* NetworkBuilder::conv_transpose(ir::Value* x, int64_t channels,
                                          int64_t size) {
  Dims dims = {dim(x, 0), channels, dim(x, 2) * 2, dim(x, 3) * 2};
  double fan_in = static_cast<double>(dim(x, 1) * size * size) / 4;
  macs_ += count(dims) * fan_in;
  int64_t pad = (size - 1) / 2, extra = 2 * pad + 2 - size;
  ir::Value* result = op("ConvTranspose",
                         {x, weight({dim(x, 1), channels, size, size}, fan_in),
                          weight({channels}, 100)},
                         dims);
  attr("kernel_shape", Dims{size, size});
  attr("output_padding", Dims{extra, extra});
  attr("pads", Dims{pad, pad, pad, pad});
  attr("strides", Dims{2, 2});
  return result;
}

ir::Value* NetworkBuilder::pool(ir::Value* x, std::string_view type,
                                int64_t size, int64_t stride) {
  int64_t pad = size % 2 == 1 ? (size - 1) / 2 : 0;
  ir::Value* result =
      op(type, {x},
         {dim(x, 0), dim(x, 1), window_out(dim(x, 2), size, stride, 1, pad),
          window_out(dim(x, 3), size, stride, 1, pad)});
  attr("kernel_shape", Dims{size, size});
  attr("pads", Dims{pad, pad, pad, pad});
  attr("strides", Dims{stride, stride});
  return result;
}

ir::Value* NetworkBuilder::global_pool(ir::Value* x) {
  return op("GlobalAveragePool", {x}, {dim(x, 0), dim(x, 1), 1, 1});
}

ir::Value* NetworkBuilder::batch_norm(ir::Value* x) {
  Dims channels = {dim(x, 1)};
  return op("BatchNormalization",
            {x, filled(channels, 0.8f, 1.2f), filled(channels, -0.1f, 0.1f),
             filled(channels, -0.1f, 0.1f), filled(channels, 0.8f, 1.2f)},
            dims_of(x));
}

ir::Value* NetworkBuilder::resize(ir::Value* x, int64_t scale,
                                  std::string_view mode) {
  float factor = static_cast<float>(scale);
  ir::Value* scales = model_.graph->add_initializer(
      next_name("scales"),
      ir::Tensor::from<float>({4}, std::vector<float>{1, 1, factor, factor}));
  ir::Value* result =
      op("Resize", {x, nullptr, scales},
         {dim(x, 0), dim(x, 1), dim(x, 2) * scale, dim(x, 3) * scale});
  set_resize_mode(mode);
  return result;
}

ir::Value* NetworkBuilder::resize_to(ir::Value* x, int64_t height,
                                     int64_t width, std::string_view mode) {
  const Dims dims = {dim(x, 0), dim(x, 1), height, width};
  ir::Value* result = op("Resize", {x, nullptr, nullptr, integers(dims)}, dims);
  set_resize_mode(mode);
  return result;
}

void NetworkBuilder::set_resize_mode(std::string_view mode) {
  bool linear = mode == "linear";
  bool corners = linear && chance(0.3);
  attr("coordinate_transformation_mode", std::string(!linear   ? "asymmetric"
                                                     : corners ? "align_corners"
                                                               : "half_pixel"));
  attr("mode", std::string(mode));
  if (!linear) attr("nearest_mode", std::string("floor"));
}

ir::Value* NetworkBuilder::activate(ir::Value* x, std::string_view kind) {
  if (kind.empty()) return x;
  if (kind == "relu") return unary("Relu", x);
  if (kind == "sigmoid") return unary("Sigmoid", x);
  if (kind == "tanh") return unary("Tanh", x);
  if (kind == "hard_swish") return unary("HardSwish", x);
  if (kind == "swish") return mul(x, unary("Sigmoid", x));
  if (kind == "clip")
    return op("Clip", {x, constant(0), constant(6)}, dims_of(x));
  if (kind == "leaky_relu") {
    ir::Value* result = unary("LeakyRelu", x);
    attr("alpha", 0.1f);
    return result;
  }
  if (kind == "hard_sigmoid") {
    ir::Value* result = unary("HardSigmoid", x);
    attr("alpha", 1.0f / 6);
    return result;
  }
  if (kind == "gelu_erf") {
    ir::Value* erf = unary("Erf", binary("Div", x, constant(1.41421356f)));
    return mul(mul(x, add(erf, constant(1))), constant(0.5f));
  }
  // The tanh form of Gelu (Hendrycks and Gimpel 2016).
  ir::Value* cube = binary("Pow", x, constant(3));
  ir::Value* inner =
      mul(add(x, mul(cube, constant(0.044715f))), constant(0.79788456f));
  return mul(mul(x, add(unary("Tanh", inner), constant(1))), constant(0.5f));
}

ir::Value* NetworkBuilder::binary(std::string_view type, ir::Value* a,
                                  ir::Value* b) {
  Dims x = dims_of(a), y = dims_of(b);
  Dims dims(std::max(x.size(), y.size()), 1);
  for (size_t i = 0; i < dims.size(); ++i) {
    int64_t p = i < x.size() ? x[x.size() - 1 - i] : 1;
    int64_t q = i < y.size() ? y[y.size() - 1 - i] : 1;
    dims[dims.size() - 1 - i] = std::max(p, q);
  }
  return op(type, {a, b}, dims);
}

ir::Value* NetworkBuilder::concat(const std::vector<ir::Value*>& values,
                                  int64_t axis) {
  Dims dims = dims_of(values[0]);
  size_t at = static_cast<size_t>(axis);
  for (size_t i = 1; i < values.size(); ++i) dims[at] += dim(values[i], at);
  ir::Value* result = op("Concat", values, dims);
  attr("axis", axis);
  return result;
}

std::vector<ir::Value*> NetworkBuilder::split(
    ir::Value* x, int64_t axis, const std::vector<int64_t>& sizes) {
  std::vector<Dims> dims;
  for (int64_t size : sizes) {
    dims.push_back(dims_of(x));
    dims.back()[static_cast<size_t>(axis)] = size;
  }
  std::vector<ir::Value*> results =
      op_list("Split", {x, integers(sizes)}, dims);
  attr("axis", axis);
  return results;
}

ir::Value* NetworkBuilder::slice(ir::Value* x, int64_t axis, int64_t start,
                                 int64_t end) {
  Dims dims = dims_of(x);
  dims[static_cast<size_t>(axis)] = end - start;
  return op("Slice", {x, integers({start}), integers({end}), integers({axis})},
            dims);
}

ir::Value* NetworkBuilder::reshape(ir::Value* x, const Dims& dims) {
  return op("Reshape", {x, integers(dims)}, dims);
}

ir::Value* NetworkBuilder::transpose(ir::Value* x,
                                     const std::vector<int64_t>& order) {
  Dims dims;
  for (int64_t axis : order) dims.push_back(dim(x, static_cast<size_t>(axis)));
  ir::Value* result = op("Transpose", {x}, dims);
  attr("perm", order);
  return result;
}

ir::Value* NetworkBuilder::reduce_mean(ir::Value* x,
                                       const std::vector<int64_t>& axes,
                                       bool keep) {
  Dims dims;
  for (int64_t i = 0; i < static_cast<int64_t>(x->type.shape->size()); ++i) {
    bool reduced = std::count(axes.begin(), axes.end(), i) > 0;
    if (!reduced) dims.push_back(dim(x, static_cast<size_t>(i)));
    if (reduced && keep) dims.push_back(1);
  }
  ir::Value* result = op("ReduceMean", {x}, dims);
  attr("axes", axes);
  attr("keepdims", int64_t{keep});
  return result;
}

ir::Value* NetworkBuilder::softmax(ir::Value* x, int64_t axis) {
  ir::Value* result = unary("Softmax", x);
  attr("axis", axis);
  return result;
}

ir::Value* NetworkBuilder::layer_norm(ir::Value* x) {
  int64_t size = dims_of(x).back();
  ir::Value* result = op(
      "LayerNormalization",
      {x, filled({size}, 0.8f, 1.2f), filled({size}, -0.1f, 0.1f)}, dims_of(x));
  attr("axis", int64_t{-1});
  attr("epsilon", 1e-5f);
  return result;
}

ir::Value* NetworkBuilder::matmul(ir::Value* a, ir::Value* b) {
  Dims dims = dims_of(a);
  dims.back() = dims_of(b).back();
  macs_ += count(dims) * static_cast<double>(dims_of(a).back());
  return op("MatMul", {a, b}, dims);
}

ir::Value* NetworkBuilder::gemm(ir::Value* x, int64_t columns) {
  int64_t rows = dim(x, 0), depth = dim(x, 1);
  bool transposed = chance(0.8);
  macs_ += static_cast<double>(rows) * static_cast<double>(depth * columns);
  ir::Value* result =
      op("Gemm",
         {x,
          weight(transposed ? Dims{columns, depth} : Dims{depth, columns},
                 static_cast<double>(depth)),
          weight({columns}, 100)},
         {rows, columns});
  attr("transB", int64_t{transposed});
  return result;
}

ir::Value* NetworkBuilder::dense(ir::Value* x, int64_t columns, bool bias) {
  int64_t depth = dims_of(x).back();
  ir::Value* product =
      matmul(x, weight({depth, columns}, static_cast<double>(depth)));
  return bias ? add(product, weight({columns}, 100)) : product;
}

ir::Value* NetworkBuilder::classifier(ir::Value* x, int64_t classes) {
  ir::Value* pooled =
      chance(0.8) ? global_pool(x) : reduce_mean(x, {2, 3}, /*keep=*/true);
  const bool convolutional = chance(0.3);  // as in SqueezeNet, MobileNetV3
  if (convolutional && chance(0.5))
    pooled = activate(conv(pooled, width(128, 1280), 1),
                      pick<const char*>({"relu", "hard_swish"}));
  if (convolutional) pooled = conv(pooled, classes, 1);
  ir::Value* flat = op("Flatten", {pooled}, {dim(pooled, 0), dim(pooled, 1)});
  attr("axis", int64_t{1});
  return convolutional ? flat : gemm(flat, classes);
}

ir::Model NetworkBuilder::finish() {
  ir::infer_shapes(model_);
  return std::move(model_);
}

}  // namespace lathe::latency
