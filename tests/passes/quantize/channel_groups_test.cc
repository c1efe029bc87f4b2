// Which sets of channels are found, and that factors for them change nothing in
// real arithmetic: with powers of two, not a bit of the outputs.
#include "passes/quantize/channel_groups.h"

#include <doctest/doctest.h>

#include <string>

#include "passes/ir/shape_inference.h"
#include "tests/passes/quantize/random_network.h"
#include "tests/passes/quantize/scaling_support.h"

namespace lathe::quantize::test {
namespace {

// %x: an image [1, 3, 6, 6]; %c: its convolution, [1, 4, 6, 6]; %t: tokens
// [1, 5, 4]. Values named w… are weights.
ir::Model model_of(const std::string& body) {
  ir::Model model = ir::parse_text(R"(opset 18
graph main {
  input %x: float[1,3,6,6]
  input %t: float[1,5,4]
  input %w1: float[4,3,1,1]
  input %w1b: float[4]
  %c = Conv(%x, %w1, %w1b) @c
)" + body + "}\n");
  draw_weights(model);
  return model;
}

std::string conv(const std::string& value, int channels) {
  return "  input %w_" + value + ": float[2," + std::to_string(channels) +
         ",1,1]\n  %y_" + value + " = Conv(%" + value + ", %w_" + value +
         ")\n  output %y_" + value + "\n";
}

TEST_CASE("scaling: every operator on the way keeps the outputs") {
  struct Row {
    const char* name;
    std::string body;
    int groups;
  };
  const std::string to_conv = conv("z", 4);
  const std::string to_gemm =
      "  input %wg: float[4,3]\n  %y = Gemm(%z, %wg)\n  output %y\n";
  const std::string to_matmul =
      "  input %wm: float[4,3]\n  %y = MatMul(%z, %wm)\n  output %y\n";
  const Row rows[] = {
      {"Relu", "%z = Relu(%c)" + to_conv, 1},
      {"LeakyRelu", "%z = LeakyRelu(%c) {alpha = 0.25}" + to_conv, 1},
      {"PRelu", "input %wp: float[4,1,1] %z = PRelu(%c, %wp)" + to_conv, 1},
      {"Abs, Neg", "%a = Abs(%c) %z = Neg(%a)" + to_conv, 1},
      {"MaxPool",
       "%z = MaxPool(%c) {kernel_shape = [2, 2], strides = [2, 2]}" + to_conv,
       1},
      {"AveragePool",
       "%z = AveragePool(%c) {kernel_shape = [3, 3], pads = [1, 1, 1, 1]}" +
           to_conv,
       1},
      {"GlobalAveragePool", "%z = GlobalAveragePool(%c)" + to_conv, 1},
      {"GlobalMaxPool", "%z = GlobalMaxPool(%c)" + to_conv, 1},
      {"Resize",
       "init %s = float[4] {1, 1, 2, 2} %z = Resize(%c, _, %s) {mode = "
       "\"nearest\"}" +
           to_conv,
       1},
      {"Pad along channels",
       "init %p = int64[8] {0, 1, 0, 0, 0, 2, 0, 1} %z = Pad(%c, %p)" +
           conv("z", 7),
       1},
      {"Pad by edges",
       "init %p = int64[8] {0, 0, 1, 0, 0, 0, 0, 1} %z = Pad(%c, %p) {mode = "
       "\"edge\"}" +
           to_conv,
       1},
      {"Slice along channels and rows",
       "init %from = int64[2] {-3, 1} init %to = int64[2] {3, 99} init %axes = "
       "int64[2] {1, 2} init %steps = int64[2] {1, 2} %z = Slice(%c, %from, "
       "%to, %axes, %steps)" +
           conv("z", 2) + conv("c", 4),
       1},
      {"Concat along channels",
       "input %w3: float[2,3,1,1] %d = Conv(%x, %w3) input %wk: "
       "float[1,3,6,6] %z = Concat(%c, %wk, %d) {axis = 1}" +
           conv("z", 9) + conv("d", 2),
       1},
      {"Concat along rows",
       "input %w3: float[4,3,1,1] %d = Conv(%x, %w3) %z = Concat(%c, %d) {axis "
       "= 2}" +
           to_conv,
       1},
      {"Split along channels",
       "init %parts = int64[2] {1, 3} %a, %z = Split(%c, %parts) {axis = 1}" +
           conv("z", 3),
       1},
      {"residual sum",
       "%r = Relu(%c) input %w3: float[4,4,3,3] %d = Conv(%r, %w3) {pads = [1, "
       "1, 1, 1]} %z = Add(%d, %r)" +
           to_conv,
       1},
      {"Sub of a constant",
       "input %wk: float[4,1,1] %z = Sub(%wk, %c)" + to_conv, 1},
      {"Add of a scalar",
       "init %k = float[] {0.5} %r = Relu(%c) %z = Add(%r, %k)" + to_conv, 1},
      {"Add of an image",
       "input %wk: float[1,1,6,6] %z = Add(%c, %wk)" + to_conv, 1},
      {"Mul and Div by a scalar",
       "init %k = float[1] {0.3} %a = Mul(%k, %c) %z = Div(%a, %k)" + to_conv,
       1},
      {"Mul by a vector, read on both sides",
       "input %wk: float[4,1,1] %z = Mul(%c, %wk)" + to_conv + conv("c", 4), 2},
      {"Div by a vector",
       "init %k = float[1,4,1,1] {1, 2, 3, -4} %z = Div(%c, "
       "%k)" +
           to_conv,
       1},
      {"a gate",
       "input %w3: float[4,3,1,1] %d = Conv(%x, %w3) %p = "
       "GlobalAveragePool(%d) %s = Sigmoid(%p) %z = Mul(%s, %c)" +
           to_conv,
       1},
      {"a gate of itself",
       "input %w3: float[4,3,1,1] %d = Conv(%x, %w3) %s = Sigmoid(%d) %a = "
       "Mul(%d, %s) %z = Mul(%c, %a)" +
           to_conv,
       1},
      {"Flatten",
       "%r = Relu(%c) %z = Flatten(%r) input %wg: float[3,144] %y = Gemm(%z, "
       "%wg) {transB = 1} output %y\n",
       1},
      {"Reshape and Transpose",
       "init %s = int64[3] {1, 4, -1} %a = Reshape(%c, %s) %z = Transpose(%a) "
       "{perm = [0, 2, 1]}" +
           to_matmul,
       1},
      {"Squeeze and Unsqueeze",
       "init %a1 = int64[1] {0} %a = Squeeze(%c, %a1) init %a2 = int64[1] {0} "
       "%z = Unsqueeze(%a, %a2)" +
           to_conv,
       1},
      {"Gather and ReduceMean",
       "init %i = int64[] {2} %a = Gather(%c, %i) {axis = 2} init %axes = "
       "int64[1] {-1} %z = ReduceMean(%a, %axes) {keepdims = 0}" +
           to_gemm,
       1},
      {"the shape alone is read",
       "%s = Shape(%c) output %s %z = Relu(%c)" + to_conv, 1},
      {"depthwise",
       "input %w3: float[4,1,3,3] input %w3b: float[4] %a = Conv(%c, %w3, "
       "%w3b) {group = 4} %z = Relu(%a)" +
           to_conv,
       2},
      {"groups of convolutions",
       "input %w3: float[6,2,1,1] input %w3b: float[6] %z = Conv(%c, %w3, "
       "%w3b) {group = 2} input %w4: float[3,2,3,3] %y = Conv(%z, %w4) {group "
       "= 3} output %y\n",
       2},
      {"ConvTranspose",
       "input %w3: float[4,3,2,2] input %w3b: float[6] %z = ConvTranspose(%c, "
       "%w3, %w3b) {group = 2, strides = [2, 2]}" +
           conv("z", 6),
       2},
      {"Gemm with factors and a bias of one number",
       "%p = GlobalAveragePool(%c) %f = Flatten(%p) input %w3: float[4,4] init "
       "%k = float[1] {0.7} %z = Gemm(%f, %w3, %k) {alpha = 0.5, beta = 2.0}" +
           to_gemm,
       2},
      {"MatMul, Add and a second reader",
       "input %w3: float[4,4] %a = MatMul(%t, %w3) input %wk: float[4] %z = "
       "Add(%a, %wk) input %w4: float[1,4,2] %q = MatMul(%z, %w4) output %q" +
           to_matmul,
       1},
      {"LayerNormalization",
       "input %ws: float[4] input %wb: float[4] %z = LayerNormalization(%t, "
       "%ws, %wb) {axis = -1}" +
           to_matmul,
       1},
      {"InstanceNormalization",
       "input %ws: float[4] input %wb: float[4] %z = "
       "InstanceNormalization(%c, %ws, %wb)" +
           to_conv,
       1},
      {"BatchNormalization",
       "input %ws: float[4] input %wb: float[4] init %m = float[4] {0, 1, 2, "
       "3} init %v = float[4] {1, 2, 3, 4} %r = Relu(%c) %z = "
       "BatchNormalization(%r, %ws, %wb, %m, %v)" +
           to_conv,
       1},
  };
  for (const Row& row : rows) {
    const std::string name = row.name;
    CAPTURE(name);
    const ir::Model before = model_of(row.body);
    const auto shapes = ir::default_input_shapes(before);
    const auto expected = run_model(before, shapes, 1);
    for (uint64_t seed = 0; seed < 3; ++seed) {
      CAPTURE(seed);
      ir::Model after = ir::clone(before);
      const PassResult result = scale_unevenly(after, seed, scale_all());
      CHECK(result.changes == row.groups);
      const auto found = run_model(after, shapes, 1);
      for (size_t i = 0; i < expected.size(); ++i)
        CHECK(found[i].identical(expected[i]));
    }
  }
}

TEST_CASE(
    "scaling: what keeps its scale has a remark that names the operator") {
  struct Row {
    std::string body, reason;
  };
  const std::string to_conv = conv("z", 4);
  const Row rows[] = {
      {"init %l = float[] {0} init %h = float[] {6} %z = Clip(%c, %l, %h) "
       "@clip" +
           to_conv,
       "Clip 'clip' computes it"},
      {"%s = Sigmoid(%c) @s output %s %z = Relu(%c)" + to_conv,
       "Sigmoid 's' reads it"},
      {"output %c %z = Relu(%c)" + to_conv, "'c' is an output of the model"},
      {"%z = Concat(%c, %c) {axis = 1}" + conv("z", 8),
       "'c' has to keep two orders of channels"},
      {"input %w3: float[4,4,1,1] %z = Conv(%c, %w3) %y = Conv(%z, %w3) output "
       "%y\n",
       "Conv -> 'z' reads or computes it, and 'w3' is shared with other "
       "nodes"},
      {"init %p = int64[8] {0, 1, 0, 0, 0, 0, 0, 0} init %one = float[] {1} %z "
       "= Pad(%c, %p, %one) @pad" +
           conv("z", 5),
       "its channels cannot be followed through Pad 'pad'"},
      {"init %inf = float[4] {0, 1, 2, inf} %a = Flatten(%c) init %s = "
       "int64[4] {1, 4, 6, 6} %z = Reshape(%a, %s) init %one = float[4,1,1] "
       "{1, 1, 1, 1e31} %b = Add(%z, %one) @add" +
           conv("b", 4),
       "Add 'add' reads or computes it, and 'one' holds 1e+31, too large to be "
       "scaled"},
      {"%r = Relu(%c) %z = Mul(%c, %r) @mul" + to_conv,
       "Mul 'mul' computes it"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.body);
    ir::Model model = model_of(row.body);
    const std::string before = ir::to_text(model);
    const PassResult result = scale_unevenly(model, 1, scale_all());
    CHECK(result.changes == 0);
    REQUIRE(result.remarks.size() >= 1);
    CHECK(result.remarks[0].reason ==
          "the channels of its input keep their scale: " + row.reason);
  }
}

TEST_CASE("scaling: a bias that others read is copied, weights are not") {
  ir::Model model = model_of(
      "input %w3: float[4,3,1,1] %d = Conv(%x, %w3, %w1b) output %d %z = "
      "Relu(%c)" +
      conv("z", 4));
  const auto shapes = ir::default_input_shapes(model);
  const auto expected = run_model(model, shapes, 1);
  CHECK(scale_unevenly(model, 1, scale_all()).changes == 1);
  CHECK(model.graph->find("w1b_scaled") != nullptr);
  const auto found = run_model(model, shapes, 1);
  for (size_t i = 0; i < expected.size(); ++i)
    CHECK(found[i].identical(expected[i]));
}

TEST_CASE("scaling: weights that a caller can replace stay") {
  ir::Model model = model_of("%z = Relu(%c)" + conv("z", 4));
  ir::Value* weights = model.graph->find("w1");
  ir::Model open = ir::parse_text(R"(opset 18
graph main {
  input %x: float[1,3,6,6]
  input %w1: float[4,3,1,1]
  %c = Conv(%x, %w1) @c
  %z = Relu(%c)
  input %w2: float[2,4,1,1]
  %y = Conv(%z, %w2) @y
  output %y
})");
  open.graph->find("w1")->set_tensor(weights->tensor());
  ir::Value* second = open.graph->find("w2");
  second->set_tensor(model.graph->find("w_z")->tensor());
  open.graph->remove_input(second);
  const PassResult result = scale_unevenly(open, 1, scale_all());
  CHECK(result.changes == 0);
  REQUIRE(result.remarks.size() == 1);
  CHECK(result.remarks[0].node == "y");
  CHECK(result.remarks[0].reason ==
        "the channels of its input keep their scale: Conv 'c' reads or "
        "computes it, and 'w1' (its constant) is a model input that can be "
        "overridden at run time");
}

TEST_CASE("scaling: random networks compute the same") {
  int64_t changes = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    const RandomNetwork network(seed);
    const ir::Model before = network.model();
    const auto shapes = network.shapes(before);
    const auto expected = run_model(before, shapes, seed);
    for (const bool power_of_two : {true, false}) {
      ir::Model after = ir::clone(before);
      changes += scale_unevenly(after, seed, scale_all(power_of_two)).changes;
      for (const ir::Value* value : after.graph->initializers())
        if (value->tensor().type() == ir::DataType::kFloat)
          for (float number : value->tensor().data<float>())
            if (!std::isfinite(number)) FAIL("not finite: " << value->name());
      const auto found = run_model(after, shapes, seed);
      for (size_t i = 0; i < expected.size(); ++i) {
        if (power_of_two) CHECK(found[i].identical(expected[i]));
        CHECK(sqnr_db(expected[i], found[i]) > 100);  // 1e-5
      }
    }
  }
  CHECK(changes > 80);
}

}  // namespace
}  // namespace lathe::quantize::test
