// ResNets on 32x32 images (He et al. 2016, section 4.2), as a graph and written
// by hand in LibTorch's modules: with BatchNormalization, and shortcuts that
// stride and pad channels with zeros.
#pragma once

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/exec/program.h"
#include "passes/ir/shape_inference.h"

namespace lathe::bench {

struct ResNetSize {
  int64_t blocks = 3;  // in each of three stages: ResNet-(6 blocks + 2)
  int64_t width = 16;  // of the first stage; each has twice the one before

  std::vector<int64_t> widths() const { return {width, 2 * width, 4 * width}; }
};

// With random weights.
class GraphNet {
 public:
  explicit GraphNet(int64_t batch, ResNetSize size = {}) : random_(1) {
    model_.opset_imports[""] = 17;
    ir::Value* x = graph().add_input(
        "x", {ir::DataType::kFloat, ir::to_shape({batch, 3, 32, 32})});
    x = relu(norm(conv(x, 3, size.width, 1), size.width));
    int64_t in = size.width;
    for (const int64_t width : size.widths())
      for (int64_t block = 0; block < size.blocks; ++block) {
        x = residual(x, in, width);
        in = width;
      }
    x = node("GlobalAveragePool", {x});
    x = node("Flatten", {x});
    x = node("Gemm", {x, weight({10, in}, 0.1f), weight({10}, 0)});
    x->producer()->set_attr("transB", int64_t{1});
    graph().add_output(x);
    ir::infer_shapes(model_);
  }
  const ir::Model& model() const { return model_; }

 private:
  ir::Graph& graph() { return *model_.graph; }
  ir::Value* node(const std::string& op, std::vector<ir::Value*> inputs) {
    return graph()
        .add_node(op, std::move(inputs),
                  std::vector<std::string>{graph().unique_name(op)})
        ->output();
  }
  ir::Value* weight(std::vector<int64_t> dims, float scale, float offset = 0) {
    int64_t count = 1;
    for (int64_t size : dims) count *= size;
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values)
      value = offset + scale * static_cast<float>(random_.normal());
    return graph().add_constant(
        "w", ir::Tensor::from<float>(std::move(dims), values));
  }
  ir::Value* conv(ir::Value* x, int64_t in, int64_t out, int64_t stride) {
    ir::Value* y = node("Conv", {x, weight({out, in, 3, 3}, 0.1f)});
    y->producer()->set_attr("pads", std::vector<int64_t>{1, 1, 1, 1});
    y->producer()->set_attr("strides", std::vector<int64_t>{stride, stride});
    return y;
  }
  ir::Value* norm(ir::Value* x, int64_t width) {
    return node("BatchNormalization",
                {x, weight({width}, 0, 1), weight({width}, 0),
                 weight({width}, 0), weight({width}, 0, 1)});
  }
  ir::Value* relu(ir::Value* x) { return node("Relu", {x}); }
  ir::Value* integers(const std::vector<int64_t>& values) {
    return graph().add_constant("i", ir::Tensor::vector_i64(values));
  }
  ir::Value* residual(ir::Value* x, int64_t in, int64_t width) {
    const int64_t stride = in == width ? 1 : 2;
    ir::Value* y = relu(norm(conv(x, in, width, stride), width));
    y = norm(conv(y, width, width, 1), width);
    if (stride == 2) {
      const int64_t pad = (width - in) / 2;
      x = node("Slice", {x, integers({0, 0}), integers({1 << 30, 1 << 30}),
                         integers({2, 3}), integers({2, 2})});
      x = node("Pad", {x, integers({0, pad, 0, 0, 0, pad, 0, 0})});
    }
    return relu(node("Add", {y, x}));
  }

  ir::Model model_;
  Random random_;
};

inline torch::nn::Conv2d conv_3x3(int64_t in, int64_t out, int64_t stride) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3)
                               .stride(stride)
                               .padding(1)
                               .bias(false));
}

struct BlockImpl : torch::nn::Module {
  BlockImpl(int64_t in, int64_t out)
      : stride(in == out ? 1 : 2),
        pad((out - in) / 2),
        first(register_module("first", conv_3x3(in, out, stride))),
        second(register_module("second", conv_3x3(out, out, 1))),
        first_norm(register_module("first_norm", torch::nn::BatchNorm2d(out))),
        second_norm(
            register_module("second_norm", torch::nn::BatchNorm2d(out))) {}

  at::Tensor forward(at::Tensor x) {
    at::Tensor y = torch::relu(first_norm(first(x)));
    y = second_norm(second(y));
    if (stride == 2) {
      x = x.slice(2, 0, INT64_MAX, 2).slice(3, 0, INT64_MAX, 2);
      x = at::constant_pad_nd(x, {0, 0, 0, 0, pad, pad}, 0);
    }
    return torch::relu(y + x);
  }

  int64_t stride, pad;
  torch::nn::Conv2d first, second;
  torch::nn::BatchNorm2d first_norm, second_norm;
};
TORCH_MODULE(Block);

struct HandNet : torch::nn::Module {
  explicit HandNet(ResNetSize size = {})
      : stem(register_module("stem", conv_3x3(3, size.width, 1))),
        norm(register_module("norm", torch::nn::BatchNorm2d(size.width))),
        head(register_module("head",
                             torch::nn::Linear(size.widths().back(), 10))) {
    int64_t in = size.width;
    for (const int64_t width : size.widths())
      for (int64_t block = 0; block < size.blocks; ++block) {
        blocks->push_back(Block(in, width));
        in = width;
      }
    register_module("blocks", blocks);
  }
  at::Tensor forward(at::Tensor x) {
    x = torch::relu(norm(stem(x)));
    x = blocks->forward(x);
    return head(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }
  torch::nn::Conv2d stem;
  torch::nn::BatchNorm2d norm;
  torch::nn::Sequential blocks;
  torch::nn::Linear head;
};

// The weights of a graph of the same architecture, its layers in order of
// execution. Error kInput where it is another one.
inline void load_weights(HandNet& net, const ir::Model& model) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> convolutions{net.stem->weight};
  std::vector<torch::nn::BatchNorm2d> norms{net.norm};
  for (const auto& block : *net.blocks) {
    const auto& parts = *block.ptr<BlockImpl>();
    convolutions.insert(convolutions.end(),
                        {parts.first->weight, parts.second->weight});
    norms.insert(norms.end(), {parts.first_norm, parts.second_norm});
  }
  // In the order in which graphs of this family hold them.
  std::vector<std::pair<std::string, std::vector<at::Tensor>>> expected;
  for (size_t i = 0; i < convolutions.size(); ++i) {
    expected.push_back({"Conv", {convolutions[i]}});
    expected.push_back({"BatchNormalization",
                        {norms[i]->weight, norms[i]->bias,
                         norms[i]->running_mean, norms[i]->running_var}});
  }
  expected.push_back({"Gemm", {net.head->weight, net.head->bias}});
  size_t at = 0;
  for (const ir::Node* node : model.graph->node_list()) {
    if (!node->is("Conv") && !node->is("BatchNormalization") &&
        !node->is("Gemm"))
      continue;
    if (at == expected.size() || !node->is(expected[at].first))
      throw_input(node->label(), "is not what the network by hand has there");
    const auto& tensors = expected[at++].second;
    for (size_t i = 0; i < tensors.size(); ++i)
      at::Tensor(tensors[i])
          .copy_(exec::to_torch(node->input(i + 1)->tensor()));
  }
  if (at != expected.size())
    throw_input("the graph", "has fewer layers than the network by hand");
}

}  // namespace lathe::bench
