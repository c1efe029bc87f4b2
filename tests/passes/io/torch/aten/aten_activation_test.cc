#include "tests/passes/io/torch/aten/aten_fixture.h"

namespace lathe::test {
namespace {

using Nodes = std::vector<std::string>;

// Both signs, zero, and numbers beyond every threshold.
at::Tensor sample(at::ScalarType type = at::kFloat) {
  return at::tensor({-30.0, -3.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 3.0,
                     6.5, 30.0})
      .view({3, 4})
      .to(type);
}

TEST_CASE("aten: bounded linear activations") {
  for (const char* op : {"aten::relu", "aten::relu6", "aten::hardtanh"})
    for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kChar})
      same_as_torch(op, {sample(type)});
  same_as_torch("aten::hardtanh", {sample(), -2.5, 0.25});
  same_as_torch("aten::relu", {at::scalar_tensor(-1.0)});
  for (const char* op : {"aten::hardsigmoid", "aten::hardswish"})
    for (auto type : {at::kFloat, at::kDouble})
      same_as_torch(op, {sample(type)});
  CHECK(emitted_nodes("aten::relu", {sample()}) == Nodes{"Relu"});
  CHECK(emitted_nodes("aten::relu6", {sample()}) == Nodes{"Clip"});
  CHECK(emitted_nodes("aten::hardswish", {sample()}) == Nodes{"HardSwish"});
  CHECK(emitted_nodes("aten::hardsigmoid", {sample()}) == Nodes{"HardSigmoid"});
}

TEST_CASE("aten: clamp with numbers and tensors, either bound absent") {
  const c10::IValue none;
  for (const char* op : {"aten::clamp", "aten::clip"}) {
    same_as_torch(op, {sample(), -1, 2.5});
    same_as_torch(op, {sample(), none, 2.5});
    same_as_torch(op, {sample(), -1.5, none});
    same_as_torch(op, {sample(at::kLong), -1, 2});
    same_as_torch(op, {sample(at::kLong), -1, none});
    // A fractional bound makes floats of integers.
    same_as_torch(op, {sample(at::kLong), -0.5, 2});
    same_as_torch(op, {sample(at::kShort), none, 2});
    same_as_torch(op, {sample(at::kDouble), 0, 1});
    const std::string tensors = std::string(op) + ".Tensor";
    const at::Tensor low = at::tensor({-1.0f, 0.0f, 0.5f, -9.0f});
    same_as_torch(tensors, {sample(), low, low + 2});
    same_as_torch(tensors, {sample(), low, none});
    same_as_torch(tensors, {sample(), none, low});
    same_as_torch(tensors,
                  {sample(), at::scalar_tensor(-0.5), at::scalar_tensor(0.5)});
    same_as_torch(tensors,
                  {sample(at::kLong), at::scalar_tensor(-1, at::kLong), none});
  }
  same_as_torch("aten::clamp_min", {sample(), 0.5});
  same_as_torch("aten::clamp_max", {sample(), 0.5});
  same_as_torch("aten::clamp_min", {sample(at::kInt), 1});
  same_as_torch("aten::clamp_min.Tensor", {sample(), at::ones({4})});
  same_as_torch("aten::clamp_max.Tensor", {sample(), at::ones({4})});
  CHECK(emitted_nodes("aten::clamp", {sample(), 0, 1}) == Nodes{"Clip"});
}

TEST_CASE("aten: activations with a negative slope") {
  for (auto type : {at::kFloat, at::kDouble}) {
    same_as_torch("aten::leaky_relu", {sample(type)});
    same_as_torch("aten::leaky_relu", {sample(type), 0.3});
    same_as_torch("aten::rrelu", {sample(type)});
    same_as_torch("aten::rrelu", {sample(type), 0.1, 0.5});
    same_as_torch("aten::rrelu_with_noise",
                  {sample(type), at::zeros({3, 4}, type), 0.1, 0.5});
  }
  const at::Tensor image = at::randn({2, 3, 5, 4});
  const at::Tensor slopes = at::tensor({0.1f, -0.2f, 0.3f});
  same_as_torch("aten::prelu", {image, slopes});
  same_as_torch("aten::prelu", {image, at::tensor({0.25f})});
  same_as_torch("aten::prelu", {at::randn({4, 3}), slopes});
  same_as_torch("aten::prelu", {at::randn({4, 3, 7}), slopes});
  same_as_torch("aten::prelu", {at::randn({6}), at::tensor({0.25f})});
  same_as_torch("aten::prelu", {at::scalar_tensor(-2.0), at::tensor({0.25f})});
  CHECK(emitted_nodes("aten::prelu", {image, at::tensor({0.25f})}) ==
        Nodes{"PRelu"});
  // PyTorch 2 has the weight in the tensor's rank already.
  ir::Model model;
  io::aten::OnnxBuilder builder(model);
  ir::ValueType type;
  type.elem = ir::DataType::kFloat;
  type.shape = ir::Shape{2, 3};
  const io::aten::AtenCall kernel(
      "_prelu_kernel", "",
      {{"self", io::aten::Argument::tensor(model.graph->add_input("x", type))},
       {"weight",
        io::aten::Argument::tensor(model.graph->add_input("w", type))}},
      builder);
  const ir::Node* node = io::aten::find_aten("_prelu_kernel")
                             ->emit(kernel)
                             .front()
                             .value->producer();
  CHECK(node->op_type == "PRelu");
  CHECK(node->inputs() == model.graph->inputs());
  CHECK(emit_error("aten::rrelu", {sample(), 0.1, 0.5, true}) ==
        "test: aten::rrelu: it draws random slopes in training (export the "
        "model in evaluation mode)");
}

TEST_CASE("aten: exponential activations") {
  for (auto type : {at::kFloat, at::kDouble}) {
    for (const char* op :
         {"aten::elu", "aten::selu", "aten::celu", "aten::softplus",
          "aten::log_sigmoid", "aten::log_sigmoid_forward", "aten::silu",
          "aten::mish"})
      same_as_torch(op, {sample(type)});
    same_as_torch("aten::elu", {sample(type), 0.5});
    same_as_torch("aten::elu", {sample(type), 1.6732632, 1.0507009, 1});
    same_as_torch("aten::elu", {sample(type), 2, 1, 0.5});
    same_as_torch("aten::elu", {sample(type), 2, 3, 0.25});
    same_as_torch("aten::celu", {sample(type), 0.7});
    same_as_torch("aten::softplus", {sample(type), 2, 20});
    same_as_torch("aten::softplus", {sample(type), 1, 0.75});
    same_as_torch("aten::softplus", {sample(type), 0.5, 2});
  }
  CHECK(emitted_nodes("aten::celu", {sample(at::kHalf)}) ==
        Nodes{"Cast", "Celu", "Cast"});
  CHECK(emitted_nodes("aten::elu", {sample()}) == Nodes{"Elu"});
  CHECK(emitted_nodes("aten::elu", {sample(), 1.5, 2.0, 1}) == Nodes{"Selu"});
  CHECK(emitted_nodes("aten::elu", {sample(), 2, 1, 0.5}) == Nodes{"Celu"});
  CHECK(emitted_nodes("aten::softplus", {sample()}) == Nodes{"Softplus"});
  CHECK(emitted_nodes("aten::silu", {sample()}) == Nodes{"Sigmoid", "Mul"});
}

TEST_CASE("aten: gelu in the forms that the runtime fuses") {
  for (auto type : {at::kFloat, at::kDouble}) {
    same_as_torch("aten::gelu", {sample(type)});
    same_as_torch("aten::gelu", {sample(type), "none"});
    same_as_torch("aten::gelu", {sample(type), "tanh"});
  }
  CHECK(emitted_nodes("aten::gelu", {sample()}) ==
        Nodes{"Div", "Erf", "Add", "Mul", "Mul"});
  CHECK(emitted_nodes("aten::gelu", {sample(), "tanh"}) ==
        Nodes{"Mul", "Mul", "Add", "Mul", "Mul", "Tanh", "Add", "Mul", "Mul"});
  CHECK(emit_error("aten::gelu", {sample(), "fast"}) ==
        "test: aten::gelu: argument 'approximate' is 'fast', expected 'none' "
        "or 'tanh'");
}

TEST_CASE("aten: thresholds") {
  for (auto type : {at::kFloat, at::kDouble}) {
    for (const char* op : {"aten::hardshrink", "aten::softshrink"}) {
      same_as_torch(op, {sample(type)});
      same_as_torch(op, {sample(type), 1.25});
    }
    same_as_torch("aten::threshold", {sample(type), 0.5, 0});
    same_as_torch("aten::threshold", {sample(type), -0.5, 7});
  }
  same_as_torch("aten::threshold", {sample(at::kLong), 1, 0});
  CHECK(emitted_nodes("aten::threshold", {sample(), 0.5, 0}) ==
        Nodes{"ThresholdedRelu"});
}

TEST_CASE("aten: softmax and log_softmax") {
  const at::Tensor x = at::randn({2, 3, 5});
  const c10::IValue none;
  for (const std::string op : {"aten::softmax", "aten::log_softmax"}) {
    for (int64_t axis : {0, 1, 2, -1, -3})
      same_as_torch(op + ".int", {x, axis, none});
    same_as_torch(op + ".int", {x.to(at::kDouble), 1, none});
    same_as_torch(op + ".int", {at::arange(6).view({2, 3}), 1,
                                static_cast<int64_t>(at::kFloat)});
    same_as_torch(op + ".int", {at::scalar_tensor(2.0), 0, none});
  }
  same_as_torch("aten::_softmax", {x, -1, false});
  same_as_torch("aten::_log_softmax", {x, 1, false});
  same_as_torch("aten::special_softmax", {x, 1, none});
  same_as_torch("aten::special_log_softmax", {x, 1, none});
  CHECK(emitted_nodes("aten::_softmax", {x.to(at::kHalf), 1, true}) ==
        Nodes{"Cast", "Softmax"});
  CHECK(emitted_nodes("aten::_softmax", {x, 1, false}) == Nodes{"Softmax"});
  CHECK(emit_error("aten::softmax.int", {x, 3, none}) ==
        "test: aten::softmax: argument 'dim' is 3, but the tensor has rank 3");
}

TEST_CASE("aten: glu halves an axis") {
  const at::Tensor x = at::randn({2, 6, 4});
  for (int64_t axis : {0, 1, 2, -1}) same_as_torch("aten::glu", {x, axis});
  same_as_torch("aten::glu", {x.to(at::kDouble)});
  CHECK(emitted_nodes("aten::glu", {x}) == Nodes{"Split", "Sigmoid", "Mul"});
}

}  // namespace
}  // namespace lathe::test
