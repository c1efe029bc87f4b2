#include <doctest/doctest.h>

#include <algorithm>

#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

int initializers(const Outcome& outcome, ir::DataType type, int64_t rank) {
  int found = 0;
  for (ir::Value* value : outcome.model.graph->initializers())
    found += value->tensor().type() == type && value->tensor().rank() == rank;
  return found;
}

TEST_CASE("insert_qdq: shared weights become one constant") {
  const std::string text = R"(opset 17
graph {
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  init %b = float[1] {1}
  init %huge = float[1] {1e12}
  %a = Conv(%x, %w) @a
  %b1 = Conv(%x, %w, %b) @b
  %c = Conv(%x, %w, %LAST) @c
  %s = Sum(%a, %b1, %c)
  output %s
})";
  auto with_last = [&](const std::string& bias) {
    std::string copy = text;
    return quantize_text(copy.replace(copy.find("LAST"), 4, bias));
  };
  Outcome outcome = with_last("b");
  CHECK(initializers(outcome, ir::DataType::kInt8, 4) == 1);
  CHECK(outcome.model.graph->find("w") == nullptr);
  CHECK(outcome.model.graph->find("b") == nullptr);
  // A bias that needs larger weight scales has its own.
  outcome = with_last("huge");
  CHECK(initializers(outcome, ir::DataType::kInt8, 4) == 2);
  // A float reader keeps the float weights.
  std::string copy = text;
  copy.replace(copy.find("LAST"), 4, "b");
  copy.replace(copy.find("Sum(%a"), 6, "Sum(%w, %a");
  outcome = quantize_text(copy);
  CHECK(outcome.model.graph->find("w") != nullptr);
}

TEST_CASE("insert_qdq: whole tensors instead of channels") {
  Outcome outcome = quantize_text(R"(opset 17
graph {
  input %x: float[1,1,4,4]
  init %w = float[2,1,1,1] {1, 4}
  init %b = float[2] {1, 2}
  %y = Conv(%x, %w, %b) @c
  output %y
})",
                                  {}, {.per_channel = false});
  const ir::Node* weights = outcome.node("c")->input(1)->producer();
  CHECK(weights->input(1)->tensor().rank() == 0);
  CHECK_FALSE(weights->has_attribute("axis"));
  const ir::Node* bias = outcome.node("c")->input(2)->producer();
  CHECK(bias->input(0)->tensor().dims() == std::vector<int64_t>{2});
  CHECK(bias->input(1)->tensor().rank() == 0);
  CHECK_FALSE(bias->has_attribute("axis"));
}

TEST_CASE("insert_qdq: int8 activations put Relu's zero at the lowest code") {
  Outcome outcome = quantize_text(R"(opset 17
graph {
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  %c = Conv(%x, %w)
  %y = Relu(%c)
  output %y
})",
                                  {{"y", {0, 2.55f}}},
                                  {.activation_type = ir::DataType::kInt8});
  const ir::Node* q = outcome.node("y_QuantizeLinear");
  REQUIRE(q != nullptr);
  CHECK(q->input(2)->tensor().data<int8_t>()[0] == -128);
  CHECK(q->output()->type.elem == ir::DataType::kInt8);
}

TEST_CASE("insert_qdq: Gemm scales follow its columns") {
  for (bool transposed : {false, true}) {
    std::string dims = transposed ? "[3,2]" : "[2,3]";
    std::string values =
        transposed ? "{1, 1, 2, 2, 4, 4}" : "{1, 2, 4, 1, 2, 4}";
    Outcome outcome = quantize_text(
        "opset 17 graph { input %x: float[5,2] init %w = float" + dims + " " +
        values + " init %b = float[1,3] {1, 2, 3} %y = Gemm(%x, %w, %b) " +
        (transposed ? "{transB = 1}" : "") + " @g output %y }");
    const ir::Node* weights = outcome.node("g")->input(1)->producer();
    CHECK(weights->attr_int("axis", -1) == (transposed ? 0 : 1));
    CHECK(weights->input(1)->tensor().size() == 3);
    for (int8_t code : weights->input(0)->tensor().data<int8_t>())
      CHECK(code == 127);
    const ir::Node* bias = outcome.node("g")->input(2)->producer();
    CHECK(bias->input(0)->tensor().dims() == std::vector<int64_t>{3});
  }
}

TEST_CASE("insert_qdq: stacks of matrices have one scale") {
  Outcome outcome = quantize_text(
      "opset 17 graph { input %x: float[2,5,1] init %w = float[2,1,2] {1, 2, "
      "3, 4} %y = MatMul(%x, %w) @m output %y }");
  const ir::Node* weights = outcome.node("m")->input(1)->producer();
  CHECK(weights->input(1)->tensor().rank() == 0);
}

TEST_CASE("insert_qdq: a Split's parts share their parameters") {
  Outcome outcome = quantize_text(R"(opset 17
graph {
  input %x: float[1,2,4,4]
  init %w = float[2,2,1,1] {1, 2, 3, 4}
  init %v = float[1,1,1,1] {1}
  init %sizes = int64[2] {1, 1}
  %c = Conv(%x, %w)
  %p, %q = Split(%c, %sizes) {axis = 1} @split
  %d = Conv(%p, %v)
  %y = Concat(%d, %q) {axis = 1} @concat
  output %y
})",
                                  {{"c", {-3, 3}}});
  CHECK(outcome.node("p_QuantizeLinear")->input(1)->name() == "c_scale");
  CHECK(outcome.node("q_QuantizeLinear")->input(1)->name() == "c_scale");
  CHECK(outcome.asked == std::vector<std::string>{"x", "c", "d", "y"});
}

TEST_CASE("insert_qdq: Softmax between products has the range [0, 1]") {
  Outcome outcome = quantize_text(R"(opset 17
graph {
  input %x: float[2,2]
  init %w = float[2,2] {1, 2, 3, 4}
  %a = MatMul(%x, %w) @q
  %b = MatMul(%x, %w) @k
  %s = MatMul(%a, %b) @scores
  %p = Softmax(%s) @softmax
  %y = MatMul(%p, %b) @mix
  output %y
})");
  CHECK(outcome.result.remarks.empty());
  CHECK(std::ranges::count(outcome.asked, "p") == 0);
  CHECK(outcome.node("p_QuantizeLinear")->input(1)->tensor().data<float>()[0] ==
        doctest::Approx(1.0 / 255));
  CHECK(outcome.source("mix", 0) == "DequantizeLinear");
  CHECK(outcome.source("mix", 1) == "DequantizeLinear");
  CHECK(outcome.model.graph->outputs()[0]->producer()->id() == "mix");
}

TEST_CASE("insert_qdq: a graph output that is read as well keeps its name") {
  Outcome outcome = quantize_text(R"(opset 17
graph {
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  %y = Conv(%x, %w) @a
  %p = Pad(%y, %pads) @pad
  init %pads = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}
  %z = Conv(%p, %w) @b
  output %y
  output %p
  output %z
})");
  std::vector<std::string> names;
  for (ir::Value* value : outcome.model.graph->outputs()) {
    names.push_back(value->name());
    CHECK(value->producer()->op_type == "DequantizeLinear");
    CHECK(value->type.elem == ir::DataType::kFloat);
  }
  CHECK(names == std::vector<std::string>{"y", "p", "z"});
  CHECK(outcome.source("pad", 0) == "QuantizeLinear");
  CHECK(outcome.node("b")->input(0)->producer()->input(0)->producer()->id() ==
        "pad");
}

TEST_CASE("pad_channels: three input channels become four") {
  auto run = [](int64_t outputs, int64_t inputs,
                ir::DataType type = ir::DataType::kUint8) {
    std::string values = "1";
    for (int64_t i = 1; i < outputs * inputs; ++i)
      values += ", " + std::to_string(i % 5 + 1);
    std::string m = std::to_string(outputs), k = std::to_string(inputs);
    return quantize_text("opset 17 graph { input %x: float[1," + k +
                             ",4,4] init %w = float[" + m + "," + k +
                             ",1,1] {" + values +
                             "} %y = Conv(%x, %w) @a %z = Conv(%x, %w) @b "
                             "output %y output %z }",
                         {}, {.activation_type = type});
  };
  Outcome outcome = run(16, 3);
  CHECK(outcome.count("Pad") == 1);
  const ir::Node* conv = outcome.node("a");
  CHECK(conv->input(0)->producer()->input(0)->producer()->op_type == "Pad");
  CHECK(ir::to_string(*conv->input(0)->type.shape) == "1x4x4x4");
  const ir::Tensor& weights = conv->input(1)->producer()->input(0)->tensor();
  CHECK(weights.dims() == std::vector<int64_t>{16, 4, 1, 1});
  CHECK(weights.data<int8_t>()[2] == 127);
  CHECK(weights.data<int8_t>()[3] == 0);
  CHECK(weights.data<int8_t>()[7] == 0);
  CHECK(initializers(outcome, ir::DataType::kInt8, 4) == 1);

  CHECK(run(16, 1).count("Pad") == 0);
  CHECK(run(18, 3).count("Pad") == 0);
  CHECK(run(12, 3).count("Pad") == 0);
  CHECK(run(16, 3, ir::DataType::kInt8).count("Pad") == 0);
}

TEST_CASE("quantize_static: a second run leaves the model as it is") {
  Outcome first = quantize_text(R"(opset 17
graph {
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  %c = Conv(%x, %w) @c
  %y = Relu(%c)
  output %y
})");
  Outcome second = quantize_text(first.text());
  CHECK(second.text() == first.text());
  CHECK(second.reason("c") ==
        "'w_DequantizeLinear' (weights) is computed, not constant");
}

}  // namespace
}  // namespace lathe::quantize::test
