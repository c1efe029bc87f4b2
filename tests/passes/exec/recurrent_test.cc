// LSTM, GRU and RNN beside the runtime, and their gradients.
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

// An input around 0 instead of in [0, 1).
std::string around_zero(const std::string& name, const std::string& dims) {
  return "input %" + name + "_raw: float[" + dims + "] %" + name + " = Sub(%" +
         name + "_raw, %half) ";
}

// X of 4 steps, a batch of 3 and 2 numbers; 5 hidden ones.
std::string layer(int gates, int directions, const std::string& node) {
  const std::string d = std::to_string(directions);
  const std::string rows = std::to_string(gates * 5);
  const std::string both = std::to_string(gates * 10);
  return "init %half = float[] {0.5} init %lens = int32[3] {4, 1, 3} " +
         around_zero("x", "4,3,2") + around_zero("w", d + "," + rows + ",2") +
         around_zero("r", d + "," + rows + ",5") +
         around_zero("b", d + "," + both) + around_zero("h", d + ",3,5") +
         around_zero("c", d + ",3,5") + around_zero("p", d + ",15") + node +
         " output %y output %yh";
}

std::string lstm(int directions, const std::string& inputs,
                 const std::string& attributes) {
  return layer(4, directions,
               "%y, %yh, %yc = LSTM(" + inputs + ") {hidden_size = 5" +
                   attributes + "}") +
         " output %yc";
}

std::string other(const std::string& op, int directions,
                  const std::string& inputs, const std::string& attributes) {
  return layer(op == "GRU" ? 3 : 1, directions,
               "%y, %yh = " + op + "(" + inputs + ") {hidden_size = 5" +
                   attributes + "}");
}

const char* const kAll = "%x, %w, %r, %b, %lens, %h";

TEST_CASE("exec LSTM: inputs and directions") {
  same_as_runtime(lstm(1, "%x, %w, %r", ""));
  same_as_runtime(lstm(1, "%x, %w, %r, %b, _, %h, %c", ""));
  same_as_runtime(lstm(1, "%x, %w, %r, %b", ", direction = \"reverse\""));
  const std::string all = std::string(kAll) + ", %c, %p";
  same_as_runtime(lstm(1, all, ""));
  same_as_runtime(lstm(1, all, ", direction = \"reverse\""));
  same_as_runtime(lstm(2, all, ", direction = \"bidirectional\""));
}

TEST_CASE("exec LSTM: clip, coupled gates and activations") {
  const std::string all = std::string(kAll) + ", %c, %p";
  same_as_runtime(lstm(1, all, ", clip = 0.2"));
  same_as_runtime(lstm(1, all, ", input_forget = 1"));
  same_as_runtime(
      lstm(1, all,
           ", activations = [\"HardSigmoid\", \"Softsign\", \"LeakyRelu\"]"
           ", activation_alpha = [0.3, 0.1], activation_beta = [0.4]"));
  same_as_runtime(
      lstm(2, all,
           ", direction = \"bidirectional\", activations = [\"Sigmoid\", "
           "\"ScaledTanh\", \"Tanh\", \"HardSigmoid\", \"Relu\", \"Affine\"], "
           "activation_alpha = [0.9, 0.25, 0.5], "
           "activation_beta = [1.1, 0.45, 0.05]"));
}

TEST_CASE("exec GRU") {
  for (const char* mode : {"", ", linear_before_reset = 1"}) {
    same_as_runtime(other("GRU", 1, "%x, %w, %r", mode));
    same_as_runtime(other("GRU", 1, "%x, %w, %r, %b, _, %h", mode));
    same_as_runtime(
        other("GRU", 1, kAll, std::string(mode) + ", direction = \"reverse\""));
    same_as_runtime(other(
        "GRU", 2, kAll, std::string(mode) + ", direction = \"bidirectional\""));
    same_as_runtime(other("GRU", 1, kAll, std::string(mode) + ", clip = 0.2"));
  }
  same_as_runtime(
      other("GRU", 1, kAll, ", activations = [\"HardSigmoid\", \"Softsign\"]"));
}

TEST_CASE("exec RNN") {
  same_as_runtime(other("RNN", 1, "%x, %w, %r", ""));
  same_as_runtime(other("RNN", 1, kAll, ", direction = \"reverse\""));
  same_as_runtime(other("RNN", 2, kAll, ", direction = \"bidirectional\""));
  same_as_runtime(
      other("RNN", 1, kAll, ", activations = [\"Relu\"], clip = 0.5"));
  for (const char* name : {"Elu", "Softplus", "Sigmoid"})
    same_as_runtime(other("RNN", 1, kAll,
                          ", activations = [\"" + std::string(name) + "\"]"));
}

TEST_CASE("exec recurrent: the batch first") {
  const std::string weights =
      "input %w: double[2,8,3] input %r: double[2,8,2] "
      "input %h: double[HS] input %c: double[HS] "
      "%y, %yh, %yc = LSTM(%x, %w, %r, _, _, %h, %c) "
      "{hidden_size = 2, direction = \"bidirectional\", layout = LAYOUT} "
      "output %y output %yh output %yc";
  auto with = [&](std::string text, const std::string& from,
                  const std::string& to) {
    for (size_t at; (at = text.find(from)) != std::string::npos;)
      text.replace(at, from.size(), to);
    return text;
  };
  const auto options = at::TensorOptions(at::kDouble);
  const at::Tensor x = at::randn({4, 5, 3}, options);
  const at::Tensor w = at::randn({2, 8, 3}, options);
  const at::Tensor r = at::randn({2, 8, 2}, options);
  const at::Tensor h = at::randn({2, 5, 2}, options);
  const at::Tensor c = at::randn({2, 5, 2}, options);
  const auto first =
      run_program("input %x: double[4,5,3] " +
                      with(with(weights, "LAYOUT", "0"), "HS", "2,5,2"),
                  {x, w, r, h, c});
  const auto second = run_program(
      "input %x: double[5,4,3] " +
          with(with(weights, "LAYOUT", "1"), "HS", "5,2,2"),
      {x.transpose(0, 1), w, r, h.transpose(0, 1), c.transpose(0, 1)});
  REQUIRE(first.size() == 3);
  REQUIRE(second.size() == 3);
  // [steps, directions, batch, size] and [batch, steps, directions, size].
  CHECK(at::allclose(first[0].permute({2, 0, 1, 3}), second[0]));
  CHECK(at::allclose(first[1].transpose(0, 1), second[1]));
  CHECK(at::allclose(first[2].transpose(0, 1), second[2]));
}

TEST_CASE("exec recurrent: only the last state is listed") {
  const auto out = run_program(
      "input %x: float[3,1,2] input %w: float[1,8,2] input %r: float[1,8,2] "
      "_, %yh = LSTM(%x, %w, %r) {hidden_size = 2} output %yh",
      {at::rand({3, 1, 2}), at::rand({1, 8, 2}), at::rand({1, 8, 2})});
  REQUIRE(out.size() == 1);
  CHECK(out[0].sizes() == at::IntArrayRef({1, 1, 2}));
}

TEST_CASE("exec recurrent: gradients") {
  gradients_agree(
      "input %x: double[3,2,2] input %w: double[2,8,2] "
      "input %r: double[2,8,2] input %b: double[2,16] "
      "init %l = int32[2] {3, 2} input %h: double[2,2,2] "
      "input %c: double[2,2,2] input %p: double[2,6] "
      "%y, %yh, %yc = LSTM(%x, %w, %r, %b, %l, %h, %c, %p) "
      "{hidden_size = 2, direction = \"bidirectional\"} "
      "output %y output %yh output %yc");
  for (const char* mode : {"0", "1"})
    gradients_agree(
        "input %x: double[3,2,2] input %w: double[1,6,2] "
        "input %r: double[1,6,2] input %b: double[1,12] "
        "init %l = int32[2] {3, 2} input %h: double[1,2,2] "
        "%y, %yh = GRU(%x, %w, %r, %b, %l, %h) {hidden_size = 2, "
        "direction = \"reverse\", linear_before_reset = " +
        std::string(mode) + "} output %y output %yh");
  gradients_agree(
      "input %x: double[3,2,2] input %w: double[1,2,2] "
      "input %r: double[1,2,2] input %b: double[1,4] "
      "%y, %yh = RNN(%x, %w, %r, %b) {hidden_size = 2} "
      "output %y output %yh");
}

}  // namespace
}  // namespace lathe::test
