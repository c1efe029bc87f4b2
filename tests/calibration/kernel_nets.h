// Small networks of known architectures for the tests of kernels, and their
// int8 form with quantizers around every operator that has an integer kernel.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "passes/base/random.h"
#include "passes/ir/graph.h"
#include "passes/ir/shape_inference.h"

namespace lathe::test {

class KernelNet {
 public:
  using Value = ir::Value;
  using Dims = std::vector<int64_t>;

  explicit KernelNet(bool quantized, uint64_t seed = 1)
      : quantized_(quantized), random_(seed) {
    model_.opset_imports[""] = 17;
    model_.graph->name = "net";
  }

  Value* input(const Dims& dims) {
    ir::ValueType type;
    type.elem = ir::DataType::kFloat;
    type.shape = ir::to_shape(dims);
    return graph().add_input("x", type);
  }

  Value* weight(const Dims& dims) {
    int64_t count = 1;
    for (int64_t dim : dims) count *= dim;
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i)
      values.push_back(static_cast<float>(random_.normal()) * 0.1f);
    return graph().add_constant("w", ir::Tensor::from<float>(dims, values));
  }
  Value* scalar(float value) {
    return graph().add_constant("s", ir::Tensor::scalar<float>(value));
  }
  Value* integers(const Dims& values) {
    return graph().add_constant("i", ir::Tensor::vector_i64(values));
  }

  Value* op(const std::string& type, std::vector<Value*> inputs) {
    std::string name = type + "_" + std::to_string(count_++);
    last_ = graph().add_node(type, std::move(inputs),
                             std::vector<std::string>{name + "_out"});
    last_->name = name;
    return last_->output();
  }
  template <class T>
  Value* with(Value* value, const std::string& name, T attribute) {
    value->producer()->set_attr(name, std::move(attribute));
    return value;
  }

  // [N, C, H, W] -> [N, out, …]; in int8 between quantizers, the activation
  // ("Relu", "Clip", "") in front of the last.
  Value* conv(Value* x, int64_t in, int64_t out, int64_t kernel, int64_t stride,
              int64_t group, const std::string& activation) {
    Value* w = weight({out, in / group, kernel, kernel});
    Value* b = weight({out});
    if (quantized_) {
      x = dequantized(x);
      w = coded_weight({out, in / group, kernel, kernel}, out);
      b = coded_bias(out);
    }
    Value* y = op("Conv", {x, w, b});
    with(y, "strides", Dims{stride, stride});
    with(y, "pads", Dims(4, kernel / 2));
    with(y, "group", group);
    with(y, "kernel_shape", Dims{kernel, kernel});
    return finish(activate(y, activation));
  }
  Value* activate(Value* x, const std::string& activation) {
    if (activation.empty()) return x;
    if (activation == "Clip") return op("Clip", {x, scalar(0), scalar(6)});
    return op(activation, {x});
  }
  Value* add(Value* a, Value* b, const std::string& activation = "") {
    return finish(activate(op("Add", {coded(a), coded(b)}), activation));
  }
  Value* concat(const std::vector<Value*>& parts) {
    std::vector<Value*> inputs;
    for (Value* part : parts) inputs.push_back(coded(part));
    return finish(with(op("Concat", inputs), "axis", int64_t{1}));
  }
  Value* max_pool(Value* x) {
    Value* y = op("MaxPool", {coded(x)});
    with(y, "kernel_shape", Dims{2, 2});
    with(y, "strides", Dims{2, 2});
    return finish(y);
  }
  Value* classifier(Value* x, int64_t in, int64_t classes) {
    Value* pooled = finish(op("GlobalAveragePool", {coded(x)}));
    Value* flat = finish(op("Flatten", {coded(pooled)}));
    Value* w = quantized_ ? coded_weight({classes, in}, classes)
                          : weight({classes, in});
    Value* b = quantized_ ? coded_bias(classes) : weight({classes});
    return with(op("Gemm", {coded(flat), w, b}), "transB", int64_t{1});
  }

  // x [1, tokens, in].
  Value* linear(Value* x, int64_t in, int64_t out) {
    return op("Add", {op("MatMul", {x, weight({in, out})}), weight({out})});
  }
  Value* layer_norm(Value* x, int64_t width) {
    return with(op("LayerNormalization", {x, weight({width}), weight({width})}),
                "axis", int64_t{-1});
  }
  Value* gelu(Value* x) {
    Value* erf = op("Erf", {op("Div", {x, scalar(1.41421356f)})});
    Value* product = op("Mul", {x, op("Add", {erf, scalar(1)})});
    return op("Mul", {product, scalar(0.5f)});
  }
  Value* transpose(Value* x, const Dims& perm) {
    return with(op("Transpose", {x}), "perm", perm);
  }
  Value* attention(Value* x, int64_t tokens, int64_t width, int64_t heads) {
    auto head = [&](const Dims& perm) {
      Value* split =
          op("Reshape", {linear(x, width, width),
                         integers({1, tokens, heads, width / heads})});
      return transpose(split, perm);
    };
    Value* scores = op("MatMul", {head({0, 2, 1, 3}), head({0, 2, 3, 1})});
    Value* shares = with(op("Softmax", {op("Mul", {scores, scalar(0.25f)})}),
                         "axis", int64_t{-1});
    Value* mixed = op("MatMul", {shares, head({0, 2, 1, 3})});
    Value* joined = op("Reshape", {transpose(mixed, {0, 2, 1, 3}),
                                   integers({1, tokens, width})});
    return linear(joined, width, width);
  }

  ir::Model finish_model(Value* output) {
    graph().add_output(output);
    ir::infer_shapes(model_);
    return std::move(model_);
  }

  // Scale and zero point alike everywhere: data movement needs no more.
  Value* coded(Value* x) { return quantized_ ? dequantized(x) : x; }

 private:
  ir::Graph& graph() { return *model_.graph; }

  Value* scale() { return scalar(6.0f / 255); }
  Value* zero() {
    return graph().add_constant("z", ir::Tensor::scalar<uint8_t>(0));
  }
  Value* quantize(Value* x) {
    return op("QuantizeLinear", {x, scale(), zero()});
  }
  // Behind a Q of its own where `x` is float; a DQ for each reader.
  Value* dequantized(Value* x) {
    if (x->is_graph_input()) {
      Value*& codes = inputs_[x];
      if (!codes) codes = quantize(x);
      x = codes;
    }
    return op("DequantizeLinear", {x, scale(), zero()});
  }
  // An operator's result as codes.
  Value* finish(Value* x) { return quantized_ ? quantize(x) : x; }

  Value* coded_weight(const Dims& dims, int64_t channels) {
    int64_t count = 1;
    for (int64_t dim : dims) count *= dim;
    std::vector<int8_t> codes;
    for (int64_t i = 0; i < count; ++i)
      codes.push_back(static_cast<int8_t>(random_.below(200)));
    size_t many = static_cast<size_t>(channels);
    Value* w = graph().add_constant("w", ir::Tensor::from<int8_t>(dims, codes));
    Value* s = graph().add_constant(
        "s",
        ir::Tensor::from<float>({channels}, std::vector<float>(many, 0.01f)));
    Value* z = graph().add_constant(
        "z",
        ir::Tensor::from<int8_t>({channels}, std::vector<int8_t>(many, 0)));
    return with(op("DequantizeLinear", {w, s, z}), "axis", int64_t{0});
  }
  Value* coded_bias(int64_t channels) {
    size_t many = static_cast<size_t>(channels);
    Value* b = graph().add_constant(
        "b",
        ir::Tensor::from<int32_t>({channels}, std::vector<int32_t>(many, 3)));
    Value* s = graph().add_constant(
        "s", ir::Tensor::from<float>(
                 {channels}, std::vector<float>(many, 0.01f * 6.0f / 255)));
    Value* z = graph().add_constant(
        "z",
        ir::Tensor::from<int32_t>({channels}, std::vector<int32_t>(many, 0)));
    return with(op("DequantizeLinear", {b, s, z}), "axis", int64_t{0});
  }

  ir::Model model_;
  bool quantized_;
  Random random_;
  ir::Node* last_ = nullptr;
  int64_t count_ = 0;
  std::map<const Value*, Value*> inputs_;
};

// Widths: of the stem; later stages double it.
inline ir::Model residual_net(bool quantized, int64_t width) {
  KernelNet net(quantized);
  ir::Value* x = net.conv(net.input({1, 3, 32, 32}), 3, width, 3, 1, 1, "Relu");
  for (int64_t stride : {1, 2}) {
    int64_t out = width * stride;
    ir::Value* y = net.conv(x, width, out, 3, stride, 1, "Relu");
    y = net.conv(y, out, out, 3, 1, 1, "");
    ir::Value* skip = stride == 1 ? x : net.conv(x, width, out, 1, 2, 1, "");
    x = net.add(y, skip, "Relu");
    width = out;
  }
  return net.finish_model(net.classifier(x, width, 10));
}

inline ir::Model inverted_net(bool quantized, int64_t width) {
  KernelNet net(quantized);
  ir::Value* x = net.conv(net.input({1, 3, 32, 32}), 3, width, 3, 2, 1, "Clip");
  for (int block = 0; block < 2; ++block) {
    ir::Value* y = net.conv(x, width, 4 * width, 1, 1, 1, "Clip");
    y = net.conv(y, 4 * width, 4 * width, 3, 1, 4 * width, "Clip");
    x = net.add(x, net.conv(y, 4 * width, width, 1, 1, 1, ""));
  }
  return net.finish_model(net.classifier(x, width, 10));
}

inline ir::Model fire_net(bool quantized, int64_t width) {
  KernelNet net(quantized);
  ir::Value* x = net.conv(net.input({1, 3, 32, 32}), 3, width, 3, 2, 1, "Relu");
  x = net.max_pool(x);
  for (int block = 0; block < 2; ++block) {
    ir::Value* s =
        net.conv(x, block ? 2 * width : width, width, 1, 1, 1, "Relu");
    x = net.concat({net.conv(s, width, width, 1, 1, 1, "Relu"),
                    net.conv(s, width, width, 3, 1, 1, "Relu")});
  }
  return net.finish_model(net.classifier(x, 2 * width, 10));
}

// Normalization in front (pre) or behind (post) of each half.
inline ir::Model transformer_net(bool pre) {
  constexpr int64_t kTokens = 12, kWidth = 32;
  KernelNet net(/*quantized=*/false);
  ir::Value* x = net.layer_norm(net.input({1, kTokens, kWidth}), kWidth);
  auto half = [&](ir::Value* from, auto&& f) {
    if (pre) return net.op("Add", {from, f(net.layer_norm(from, kWidth))});
    return net.layer_norm(net.op("Add", {f(from), from}), kWidth);
  };
  for (int layer = 0; layer < 2; ++layer) {
    x = half(x, [&](ir::Value* v) {
      return net.attention(v, kTokens, kWidth, /*heads=*/2);
    });
    x = half(x, [&](ir::Value* v) {
      return net.linear(net.gelu(net.linear(v, kWidth, 4 * kWidth)), 4 * kWidth,
                        kWidth);
    });
  }
  return net.finish_model(x);
}

}  // namespace lathe::test
