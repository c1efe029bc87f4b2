// The layers of NetBuilder.
#include <cmath>
#include <numbers>

#include "passes/base/error.h"
#include "tests/zoo/net_builder.h"

namespace lathe::zoo {
namespace {

using Value = ir::Value;
using Dims = std::vector<int64_t>;

// He et al. (2015): variance 2 / fan-in before a rectifier, 1 / fan-in else;
// as the half width of a uniform distribution.
float he_limit(int64_t fan_in, Act act) {
  double variance =
      (act == Act::kNone ? 1.0 : 2.0) / static_cast<double>(fan_in);
  return static_cast<float>(std::sqrt(3 * variance));
}

}  // namespace

Window square(int64_t kernel, int64_t stride) {
  return {{kernel, kernel}, {stride, stride}, Dims(4, kernel / 2)};
}

Window unpadded(int64_t kernel, int64_t stride) {
  return {{kernel, kernel}, {stride, stride}, Dims(4, 0)};
}

Value* NetBuilder::conv(Value* x, int64_t out, const Window& window, Act act,
                        int64_t group) {
  Dims dims{out, channels(x) / group};
  dims.insert(dims.end(), window.kernel.begin(), window.kernel.end());
  int64_t fan_in = 1;
  for (size_t i = 1; i < dims.size(); ++i) fan_in *= dims[i];
  std::vector<Value*> inputs{x};
  inputs.push_back(uniform("conv.weight", dims, he_limit(fan_in, act)));
  if (!keep_batch_norm_) inputs.push_back(uniform("conv.bias", {out}, 0.1f));
  Value* y = add_node("Conv", std::move(inputs),
                      {{"group", group},
                       {"kernel_shape", window.kernel},
                       {"pads", window.pads},
                       {"strides", window.stride}});
  if (keep_batch_norm_) y = batch_norm(y);
  return activate(y, act);
}

Value* NetBuilder::conv(Value* x, int64_t out, int64_t kernel, int64_t stride,
                        Act act) {
  return conv(x, out, square(kernel, stride), act);
}

Value* NetBuilder::depthwise(Value* x, int64_t kernel, int64_t stride,
                             Act act) {
  return conv(x, channels(x), square(kernel, stride), act, channels(x));
}

Value* NetBuilder::up_conv(Value* x, int64_t out, Act act) {
  Value* weight = uniform("up_conv.weight", {channels(x), out, 2, 2},
                          he_limit(channels(x), act));
  Value* bias = uniform("up_conv.bias", {out}, 0.1f);
  return activate(
      add_node("ConvTranspose", {x, weight, bias},
               {{"kernel_shape", Dims{2, 2}}, {"strides", Dims{2, 2}}}),
      act);
}

Value* NetBuilder::resize2(Value* x, const std::string& mode) {
  Value* scales = add_tensor(
      "scales", ir::Tensor::from<float>({4}, std::vector<float>{1, 1, 2, 2}));
  bool nearest = mode == "nearest";
  std::string place = nearest ? "asymmetric" : "half_pixel";
  std::vector<Attr> attributes{{"mode", mode},
                               {"coordinate_transformation_mode", place}};
  if (nearest) attributes.push_back({"nearest_mode", std::string("floor")});
  return add_node("Resize", {x, nullptr, scales}, attributes);
}

Value* NetBuilder::batch_norm(Value* x) {
  int64_t width = channels(x);
  Value* scale = uniform("norm.scale", {width}, 0.75f, 1.25f);
  Value* bias = uniform("norm.bias", {width}, 0.1f);
  Value* mean = uniform("norm.mean", {width}, 0.1f);
  Value* variance = uniform("norm.variance", {width}, 0.75f, 1.25f);
  return add_node("BatchNormalization", {x, scale, bias, mean, variance},
                  {{"epsilon", 1e-5f}});
}

Value* NetBuilder::max_pool(Value* x, const Window& window, bool ceil) {
  return add_node("MaxPool", {x},
                  {{"ceil_mode", int64_t{ceil}},
                   {"kernel_shape", window.kernel},
                   {"pads", window.pads},
                   {"strides", window.stride}});
}

Value* NetBuilder::average_pool(Value* x, const Window& window) {
  return add_node("AveragePool", {x},
                  {{"kernel_shape", window.kernel},
                   {"pads", window.pads},
                   {"strides", window.stride}});
}

Value* NetBuilder::global_pool(Value* x) {
  return add_node("GlobalAveragePool", {x});
}

Value* NetBuilder::classifier(Value* x, int64_t classes) {
  return linear(flatten(global_pool(x)), classes);
}

Value* NetBuilder::linear(Value* x, int64_t out, Act act) {
  const int64_t depth = dim(x, -1);
  const float limit = he_limit(depth, act);
  if (x->type.shape->size() == 2) {
    Value* weight = uniform("linear.weight", {out, depth}, limit);
    Value* bias = uniform("linear.bias", {out}, 0.1f);
    return activate(
        add_node("Gemm", {x, weight, bias}, {{"transB", int64_t{1}}}), act);
  }
  Value* weight = uniform("linear.weight", {depth, out}, limit);
  Value* bias = uniform("linear.bias", {out}, 0.1f);
  return activate(add(matmul(x, weight), bias), act);
}

Value* NetBuilder::layer_norm(Value* x, float epsilon) {
  Value* scale = uniform("norm.scale", {dim(x, -1)}, 0.75f, 1.25f);
  Value* bias = uniform("norm.bias", {dim(x, -1)}, 0.1f);
  return add_node("LayerNormalization", {x, scale, bias},
                  {{"axis", int64_t{-1}}, {"epsilon", epsilon}});
}

Value* NetBuilder::softmax(Value* x) {
  return add_node("Softmax", {x}, {{"axis", int64_t{-1}}});
}

Value* NetBuilder::activate(Value* x, Act act) {
  switch (act) {
    case Act::kNone:
      return x;
    case Act::kRelu:
      return add_node("Relu", {x});
    case Act::kRelu6: {
      Value* low = scalar("low", 0);
      return add_node("Clip", {x, low, scalar("high", 6)});
    }
    case Act::kHardSwish:
      return add_node("HardSwish", {x});
    case Act::kSwish:
      return mul(x, add_node("Sigmoid", {x}));
  }
  throw_internal(x->name(), "no such activation");
}

Value* NetBuilder::gelu(Value* x) {
  Value* root = scalar("sqrt2", std::numbers::sqrt2_v<float>);
  Value* erf = add_node("Erf", {add_node("Div", {x, root})});
  Value* gate = add(erf, scalar("one", 1));
  Value* scaled = mul(x, gate);
  return mul(scaled, scalar("half", 0.5f));
}

Value* NetBuilder::concat(std::vector<Value*> parts, int64_t axis) {
  return add_node("Concat", std::move(parts), {{"axis", axis}});
}

std::vector<Value*> NetBuilder::split(Value* x, const Dims& sizes,
                                      int64_t axis) {
  Value* first = add_node("Split", {x, integers("sizes", sizes)},
                          {{"axis", axis}}, sizes.size());
  return first->producer()->outputs();
}

Value* NetBuilder::reshape(Value* x, const Dims& dims) {
  return add_node("Reshape", {x, integers("shape", dims)});
}

Value* NetBuilder::transpose(Value* x, const Dims& order) {
  return add_node("Transpose", {x}, {{"perm", order}});
}

}  // namespace lathe::zoo
