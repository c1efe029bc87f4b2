#include "tests/passes/io/torch/aten/hand_built.h"

namespace lathe::test {
namespace {

using Nodes = std::vector<std::string>;
using Tensors = std::vector<at::Tensor>;
using io::aten::Argument;
using io::aten::Arguments;

constexpr int64_t kInputs = 4, kHidden = 3;

// The parameters of every layer and direction.
Tensors params(int64_t gates, int64_t layers, int64_t directions,
               bool biases = true) {
  Tensors result;
  for (int64_t layer = 0; layer < layers; ++layer)
    for (int64_t d = 0; d < directions; ++d) {
      const int64_t inputs = layer == 0 ? kInputs : directions * kHidden;
      // Small enough that rounding does not grow from step to step.
      result.push_back(0.4 * at::randn({gates * kHidden, inputs}));
      result.push_back(0.4 * at::randn({gates * kHidden, kHidden}));
      for (int i = 0; biases && i < 2; ++i)
        result.push_back(at::randn({gates * kHidden}));
    }
  return result;
}

at::Tensor state(int64_t layers, int64_t directions) {
  return at::randn({layers * directions, 2, kHidden});
}

struct Layout {
  int64_t layers;
  bool bidirectional, batch_first, biases;
};

const std::vector<Layout> kLayouts{
    {1, false, false, true}, {1, false, true, true}, {1, true, false, true},
    {2, false, true, true},  {2, true, true, true},  {3, true, false, false}};

std::vector<c10::IValue> layer_args(const Layout& layout, int64_t gates,
                                    bool has_cell) {
  const int64_t directions = layout.bidirectional ? 2 : 1;
  const at::Tensor x = layout.batch_first ? at::randn({2, 5, kInputs})
                                          : at::randn({5, 2, kInputs});
  const at::Tensor h = state(layout.layers, directions);
  const c10::IValue hx =
      has_cell ? c10::IValue(Tensors{h, state(layout.layers, directions)})
               : c10::IValue(h);
  return {x,
          hx,
          params(gates, layout.layers, directions, layout.biases),
          layout.biases,
          layout.layers,
          0.5,
          false,
          layout.bidirectional,
          layout.batch_first};
}

TEST_CASE("aten: recurrent layers") {
  for (const Layout& layout : kLayouts) {
    CAPTURE(layout.layers);
    CAPTURE(layout.bidirectional);
    same_as_torch("aten::lstm.input", layer_args(layout, 4, true));
    same_as_torch("aten::gru.input", layer_args(layout, 3, false));
    same_as_torch("aten::rnn_tanh.input", layer_args(layout, 1, false));
    same_as_torch("aten::rnn_relu.input", layer_args(layout, 1, false));
  }
}

TEST_CASE("aten: recurrent cells") {
  const at::Tensor x = at::randn({2, kInputs}), h = at::randn({2, kHidden});
  auto cell = [&](const char* op, int64_t gates, c10::IValue hx) {
    const Tensors p = params(gates, 1, 1);
    same_as_torch(op, {x, hx, p[0], p[1], p[2], p[3]}, /*symbolic=*/false);
    same_as_torch(op, {x, hx, p[0], p[1]}, /*symbolic=*/false);
  };
  cell("aten::lstm_cell", 4, Tensors{h, at::randn({2, kHidden})});
  cell("aten::gru_cell", 3, h);
  cell("aten::rnn_tanh_cell", 1, h);
  cell("aten::rnn_relu_cell", 1, h);
  const Tensors p = params(1, 1, 1);
  CHECK(emit_error("aten::rnn_tanh_cell", {x[0], h[0], p[0], p[1]}) ==
        "test: aten::rnn_tanh_cell: found an input of rank 1, expected 2");
}

TEST_CASE("aten: a recurrent layer in double precision") {
  auto args = layer_args(kLayouts[0], 3, false);
  Tensors wide;
  for (const at::Tensor& p : args[2].toTensorVector())
    wide.push_back(p.to(at::kDouble));
  args[0] = args[0].toTensor().to(at::kDouble);
  args[1] = args[1].toTensor().to(at::kDouble);
  args[2] = wide;
  same_as_torch("aten::gru.input", args);
}

ir::Tensor counted(std::vector<int64_t> dims) {
  int64_t count = 1;
  for (int64_t dim : dims) count *= dim;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(i));
  return ir::Tensor::from<float>(std::move(dims), values);
}

TEST_CASE("aten: constant weights are rearranged, zero states left out") {
  HandBuilt built;
  ir::Value* x = built.input("x", at::randn({5, 2, 1}));
  Arguments weights;
  for (const auto& dims :
       std::vector<std::vector<int64_t>>{{4, 1}, {4, 1}, {4}, {4}})
    weights.push_back(
        Argument::tensor(built.builder.weight("w", counted(dims))));
  // As nn.LSTM makes its initial state, for any batch.
  ir::Value* zeros = built.builder.expand(
      built.builder.scalar(ir::DataType::kFloat, 0),
      built.builder.int_vector(
          {Argument::of_int(1), built.size(x, 1), Argument::of_int(1)}));
  const auto results =
      built.call("lstm", {{"input", Argument::tensor(x)},
                          {"hx", Argument::list({Argument::tensor(zeros),
                                                 Argument::tensor(zeros)})},
                          {"params", Argument::list(weights)},
                          {"has_biases", Argument::of_bool(true)},
                          {"num_layers", Argument::of_int(1)},
                          {"dropout", Argument::of_float(0)},
                          {"train", Argument::of_bool(false)},
                          {"bidirectional", Argument::of_bool(false)},
                          {"batch_first", Argument::of_bool(false)}});
  REQUIRE(results.size() == 3);
  const ir::Node* lstm = results[1].value->producer();
  REQUIRE(lstm->is("LSTM"));
  CHECK(lstm->inputs().size() == 4);
  // PyTorch's gates i, f, g, o as ONNX's i, o, f, c.
  CHECK(lstm->input(1)->name() == "lstm.0.W");
  CHECK(lstm->input(1)->tensor().dims() == std::vector<int64_t>{1, 4, 1});
  CHECK(lstm->input(1)->tensor().to_floats() == std::vector<float>{0, 3, 1, 2});
  CHECK(lstm->input(3)->tensor().dims() == std::vector<int64_t>{1, 8});
  CHECK(lstm->input(3)->tensor().to_floats() ==
        std::vector<float>{0, 3, 1, 2, 0, 3, 1, 2});
}

TEST_CASE("aten: how recurrent layers are written") {
  const auto args = layer_args(kLayouts[0], 1, false);
  CHECK(
      emitted_nodes("aten::rnn_tanh.input", args) ==
      Nodes{"Unsqueeze", "Unsqueeze", "Concat", "Unsqueeze", "RNN", "Squeeze"});
}

TEST_CASE("aten: recurrent layers that are not possible") {
  auto args = layer_args(kLayouts[3], 4, true);
  args[6] = true;
  CHECK(emit_error("aten::lstm.input", args) ==
        "test: aten::lstm: is in training mode with dropout (call eval() on "
        "the model before exporting it)");
  args = layer_args(kLayouts[0], 4, true);
  Tensors projected = args[2].toTensorVector();
  projected.push_back(at::randn({2, kHidden}));
  args[2] = projected;
  CHECK(emit_error("aten::lstm.input", args) ==
        "test: aten::lstm: projects its hidden state (proj_size), which ONNX "
        "lacks (use an LSTM without proj_size)");
  projected.resize(3);
  args[2] = projected;
  CHECK(emit_error("aten::lstm.input", args) ==
        "test: aten::lstm: found 3 parameters, expected 4");
  args = layer_args(kLayouts[0], 3, false);
  args[2] = params(4, 1, 1);
  CHECK(emit_error("aten::gru.input", args) ==
        "test: the recurrent layer's parameter 'params' has the shape 12x4, "
        "which does not go with its hidden size");
  args[4] = int64_t{0};
  CHECK(emit_error("aten::gru.input", args) ==
        "test: aten::gru: num_layers is 0");
  CHECK(emit_error("aten::gru.data",
                   {at::randn({8, kInputs}), at::tensor({3, 3, 2}, at::kLong),
                    state(1, 1), params(3, 1, 1), true, int64_t{1}, 0.0, false,
                    false}) ==
        "test: aten::gru: runs on a packed sequence, which ONNX lacks (pass "
        "padded sequences instead of pack_padded_sequence)");
}

}  // namespace
}  // namespace lathe::test
