#include "passes/prune/fresh_weights.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "passes/base/random.h"
#include "passes/exec/program.h"

namespace lathe::prune {
namespace {

using Dims = std::vector<int64_t>;
using Values = std::unordered_set<const ir::Value*>;

constexpr double kTableDeviation = 0.02;
constexpr double kSlope = 0.25;  // of PRelu: He et al. 2015, section 2.1

bool is_any(std::string_view op,
            std::initializer_list<std::string_view> operators) {
  return std::ranges::find(operators, op) != operators.end();
}

bool is_relu_like(std::string_view op) {
  return is_any(op, {"Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu",
                     "Selu", "Celu", "Clip", "HardSwish", "Swish", "Mish",
                     "Softplus", "Gelu", "FastGelu", "BiasGelu", "QuickGelu"});
}

bool is_convolution(std::string_view op) {
  return is_any(op, {"Conv", "FusedConv", "ConvTranspose"});
}

bool is_recurrent(std::string_view op) {
  return is_any(op, {"LSTM", "GRU", "RNN"});
}

// Of scale and shift as inputs 1 and 2.
bool is_normalization(std::string_view op) {
  return is_any(op, {"BatchNormalization", "InstanceNormalization",
                     "LayerNormalization", "GroupNormalization",
                     "RMSNormalization", "SimplifiedLayerNormalization"});
}

// x sigmoid(x), written in two nodes.
bool is_swish(const ir::Node& sigmoid, const ir::Value& x) {
  if (!is_any(sigmoid.op_type, {"Sigmoid", "HardSigmoid"})) return false;
  return std::ranges::any_of(sigmoid.output()->uses(), [&](const ir::Use& use) {
    const auto& inputs = use.node->inputs();
    return use.node->is("Mul") && std::ranges::find(inputs, &x) != inputs.end();
  });
}

bool feeds_relu(const ir::Node& node) {
  if (is_relu_like(node.attr_string("activation", ""))) return true;
  const ir::Value* value = node.output();
  // Normalizations and biases in a row are few.
  for (int i = 0; i < 8 && value; ++i) {
    const ir::Value* next = nullptr;
    for (const ir::Use& use : value->uses()) {
      const ir::Node& reader = *use.node;
      if (is_relu_like(reader.op_type) || is_swish(reader, *value)) return true;
      const bool biased =
          reader.is("Add") && reader.input(1 - use.index)->is_constant();
      if (biased || is_normalization(reader.op_type)) next = reader.output();
    }
    value = next;
  }
  return false;
}

// How many numbers are summed for a result, and how many results read one.
struct Fans {
  int64_t in = 1, out = 1;
};

int64_t product(const Dims& dims, size_t from = 0) {
  return std::accumulate(dims.begin() + static_cast<int64_t>(from), dims.end(),
                         int64_t{1}, std::multiplies<>());
}

Fans convolution_fans(const ir::Node& node, const Dims& dims) {
  const int64_t kernel = product(dims, 2);
  const int64_t groups = node.attr_int("group", 1);
  if (!node.is("ConvTranspose"))
    return {dims[1] * kernel, dims[0] / groups * kernel};
  // [in, out / group, …]; of the kernel, a result sees what strides leave.
  const int64_t seen = kernel / product(node.attr_ints("strides", {}));
  return {dims[0] / groups * seen, dims[1] * kernel};
}

Fans matrix_fans(const ir::Node& node, size_t input, const Dims& dims) {
  if (dims.size() < 2) return {product(dims), 1};
  const bool transposed =
      node.attr_int(input == 0 ? "transA" : "transB", 0) != 0;
  const int64_t rows = dims[dims.size() - 2], columns = dims.back();
  if ((input == 0) != transposed) return {columns, rows};
  return {rows, columns};
}

// Letters that the result lacks are summed over. An equation without "->", or
// with an ellipsis, is taken for a product of matrices.
Fans einsum_fans(const ir::Node& node, size_t input, const Dims& dims) {
  std::string equation = node.attr_string("equation", "");
  std::erase(equation, ' ');
  const size_t arrow = equation.find("->");
  const size_t comma = equation.find(',');
  if (arrow == std::string::npos || equation.find('.') != std::string::npos)
    return matrix_fans(node, input, dims);
  const std::string term =
      input == 0
          ? equation.substr(0, std::min(comma, arrow))
          : equation.substr(
                comma + 1, equation.find_first_of(",-", comma + 1) - comma - 1);
  Fans fans;
  for (size_t i = 0; i < std::min(term.size(), dims.size()); ++i)
    (equation.find(term[i], arrow) == std::string::npos ? fans.in : fans.out) *=
        dims[i];
  return fans;
}

Fans fans_of(const ir::Node& node, size_t input, const Dims& dims) {
  if (is_convolution(node.op_type)) return convolution_fans(node, dims);
  if (node.is("Einsum")) return einsum_fans(node, input, dims);
  if (is_recurrent(node.op_type))  // [directions, gates hidden, in]
    return {dims[2], node.attr_int("hidden_size", dims[1])};
  return matrix_fans(node, input, dims);
}

// Normal with mean 0, or one number throughout.
struct Draw {
  double deviation = 0, value = 0;
};

Draw weight(const ir::Node& node, size_t input, const Dims& dims) {
  const Fans fans = fans_of(node, input, dims);
  const auto terms =
      static_cast<double>(feeds_relu(node) ? fans.in : fans.in + fans.out);
  return {.deviation = std::sqrt(2 / std::max(terms, 1.0))};
}

std::optional<Draw> draw_for(const ir::Use& use, const ir::Tensor& tensor,
                             const Values& scaled_inputs) {
  const ir::Node& node = *use.node;
  const std::string& op = node.op_type;
  const Dims& dims = tensor.dims();
  const size_t input = use.index;
  if (is_any(op, {"Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Einsum"})) {
    if (input < 2) return weight(node, input, dims);
    return Draw{};
  }
  if ((is_convolution(op) && dims.size() > 2 && input == 1) ||
      (is_recurrent(op) && dims.size() == 3 && (input == 1 || input == 2)))
    return weight(node, input, dims);
  if ((is_convolution(op) && input == 2) || (is_recurrent(op) && input == 3))
    return Draw{};
  if (is_normalization(op) && input >= 1) {
    const bool scale = input == 1 || input == 4;  // 4: running variance
    return Draw{.value = scale ? 1.0 : 0.0};
  }
  if (op == "SkipLayerNormalization" && input >= 2)
    return Draw{.value = input == 2 ? 1.0 : 0.0};
  if (op == "PRelu" && input == 1) return Draw{.value = kSlope};
  if (op == "Gather" && input == 0) return Draw{.deviation = kTableDeviation};
  const bool vector =
      std::ranges::count_if(dims, [](int64_t d) { return d > 1; }) == 1;
  if (vector && is_any(op, {"Add", "Mul"}) &&
      !scaled_inputs.contains(node.input(1 - input)))
    return Draw{.value = op == "Mul" ? 1.0 : 0.0};
  return std::nullopt;
}

std::optional<Draw> draw_for(const ir::Value& value,
                             const Values& scaled_inputs) {
  const auto is_statistic = [](const ir::Use& use) {
    return use.node->is("BatchNormalization") && use.index >= 3;
  };
  if (!ir::is_floating(value.type.elem) ||
      (!exec::is_trainable(value) &&
       std::ranges::none_of(value.uses(), is_statistic)))
    return std::nullopt;
  for (const ir::Use& use : value.uses())
    if (const auto draw = draw_for(use, value.tensor(), scaled_inputs))
      return draw;
  return std::nullopt;
}

// The model's inputs, and what only scales, shifts or moves them.
Values scaled_inputs(const ir::Graph& graph) {
  Values found;
  for (const ir::Value* input : graph.inputs()) found.insert(input);
  for (const auto& node : graph.nodes()) {
    const auto is_input = [&](const ir::Value* value) {
      return value && (found.contains(value) || value->is_constant());
    };
    if (is_any(node->op_type, {"Add", "Sub", "Mul", "Div", "Cast", "Identity",
                               "Transpose", "Reshape"}) &&
        std::ranges::all_of(node->inputs(), is_input))
      found.insert(node->output());
  }
  return found;
}

}  // namespace

int64_t draw_weights(ir::Model& model, uint64_t seed) {
  int64_t changed = 0;
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    const Values inputs = scaled_inputs(graph);
    for (ir::Value* value : graph.initializers()) {
      const auto draw = draw_for(*value, inputs);
      if (!draw) continue;
      Random random(derive_seed(seed, "weights " + value->name()));
      const ir::Tensor& old = value->tensor();
      std::vector<double> numbers(static_cast<size_t>(old.size()), draw->value);
      if (draw->deviation > 0)
        for (double& number : numbers)
          number = draw->deviation * random.normal();
      ir::Tensor drawn =
          ir::Tensor::from_doubles(old.type(), old.dims(), numbers);
      changed += !drawn.identical(old);
      value->set_tensor(std::move(drawn));
    }
  });
  return changed;
}

}  // namespace lathe::prune
