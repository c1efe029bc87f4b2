#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

// One node on the constants that most of them need.
Outcome run_node(const std::string& node, const std::string& extra = "",
                 QuantizeOptions options = {}) {
  return quantize_text(R"(opset 17
graph {
  input %x: float[1,2,4,4]
  input %m: float[3,2]
  init %w = float[2,2,1,1] {1, 2, 3, 4}
  init %v = float[2,2] {1, 2, 3, 4}
  )" + extra + "\n" + node +
                           R"(
  output %y
})",
                       {}, std::move(options));
}

TEST_CASE("select_nodes: a compute node in float has its reason") {
  auto reason = [](const std::string& node, const std::string& extra = "") {
    Outcome outcome = run_node(node, extra);
    CHECK(outcome.count("QuantizeLinear") == 0);
    CHECK(outcome.result.remarks.size() == 1);
    CHECK(outcome.result.changes == 0);
    return outcome.reason("n");
  };
  CHECK(reason("%y = Conv(%x, %k) @n", "input %k: float[2,2,1,1]") ==
        "'k' (weights) is computed, not constant");
  CHECK(reason("%y = Conv(%x, %k) @n",
               "input %k: float[2,2,1,1] = float[2,2,1,1] {1, 2, 3, 4}") ==
        "'k' (weights) is a model input that can be overridden at run time");
  CHECK(reason("%y = Conv(%x, %k) @n",
               "init %k = float[2,2,1,1] {1, nan, 3, "
               "4}") == "'k' (weights) holds NaN or infinity");
  CHECK(reason("%y = Conv(%x, %w, %k) @n", "init %k = float[3] {1, 2, 3}") ==
        "its bias has 3 elements for 2 channels");
  CHECK(reason("%y = Conv(%h, %k) @n",
               "input %h: float16[1,2,4,4] init %k = float16[1,2,1,1] "
               "{1, 2}") == "'h' (input) is float16; only float is quantized");
  CHECK(reason("%y = Conv(%u, %w) @n", "%u = my.domain::Op(%x)") ==
        "the type of 'u' (input) is not known");
  CHECK(reason("%y = ConvTranspose(%x, %w) @n") ==
        "the runtime has no integer kernel for ConvTranspose");
  CHECK(reason("%y = Gemm(%m, %v) {alpha = 0.5} @n") ==
        "its alpha is 0.5; the integer kernel needs 1");
  CHECK(reason("%y = Gemm(%m, %v, %k) {beta = 0.5} @n",
               "init %k = float[2] {1, 2}") ==
        "its beta is 0.5; the integer kernel needs 1");
  CHECK(reason("%y = Gemm(%m, %v, %k) @n", "init %k = float[3,1] {1, 2, 3}") ==
        "its bias varies over rows; the integer kernel adds one value a "
        "column");
  CHECK(reason("%y = MatMul(%v, %t) @n", "input %t: float[2,5]") ==
        "its constant is the left operand; the integer kernel takes int8 "
        "weights on the right only");
  CHECK(reason("%y = MatMul(%m, %k) @n", "init %k = float[2] {1, 2}") ==
        "its weights have rank 1; a matrix-vector product stays in float");
  CHECK(reason("%y = MatMul(%m, %t) @n", "input %t: float[2,5]") ==
        "its input 'm' is computed in float, and converting it costs more "
        "than the integer kernel saves");
}

TEST_CASE("select_nodes: exclusions are obeyed and reported") {
  const std::string node =
      "%c = Conv(%x, %w) @first\n %y = Conv(%c, %w) @second";
  Outcome outcome = run_node(node, "", {.exclude_nodes = {"second", "secnod"}});
  CHECK(outcome.reason("second") == "exclude_nodes names it");
  CHECK(outcome.reason("") ==
        "exclude_nodes names 'secnod', which is no node of the simplified "
        "model; did you mean 'second'?");
  CHECK(outcome.source("first", 0) == "DequantizeLinear");
  CHECK(outcome.source("second", 0) == "DequantizeLinear");
  CHECK(outcome.source("second", 1) == "none");
  CHECK(outcome.count("QuantizeLinear") == 2);

  outcome = run_node(node, "", {.exclude_operators = {"Conv"}});
  CHECK(outcome.reason("first") == "exclude_operators names Conv");
  CHECK(outcome.count("QuantizeLinear") == 0);
}

TEST_CASE("select_nodes: operators that only cost stay in float") {
  // No Conv beside the pool.
  Outcome outcome = run_node(
      "%t = Transpose(%x) {perm = [0, 1, 3, 2]} %y = MaxPool(%t) "
      "{kernel_shape = [2, 2]}");
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.result.remarks.empty());
  // Softmax after the last Conv, and what moves its data.
  outcome = run_node(
      "%c = Conv(%x, %w) %s = Softmax(%c) @s "
      "%y = Flatten(%s) @f");
  CHECK(outcome.result.changes == 1);
  CHECK(outcome.source("s", 0) == "DequantizeLinear");
  CHECK(outcome.source("f", 0) == "Softmax");
  // The sum of two products written in float; as Gemms, because the runtime
  // would merge one of them with the Add into a float Gemm (keep_matmul_bias).
  outcome = run_node(
      "%a = MatMul(%m, %v) %b = MatMul(%m, %v) "
      "%y = Add(%a, %b) @add");
  CHECK(outcome.result.changes == 2);
  CHECK(outcome.source("add", 0) == "Gemm");
  CHECK(outcome.source("add", 1) == "Gemm");
  CHECK(outcome.count("QuantizeLinear") == 1);
  // The same sum where a Gemm reads it.
  outcome = run_node(
      "%a = MatMul(%m, %v) %b = MatMul(%m, %v) "
      "%s = Add(%a, %b) @add %y = Gemm(%s, %v) @gemm");
  CHECK(outcome.result.changes == 4);
  CHECK(outcome.source("add", 0) == "DequantizeLinear");
}

TEST_CASE("select_nodes: data movement right after a model input is on codes") {
  Outcome outcome = run_node(
      "%t = Transpose(%x) {perm = [0, 1, 3, 2]} @t "
      "%y = Conv(%t, %w) @c");
  CHECK(outcome.result.changes == 2);
  CHECK(outcome.source("t", 0) == "DequantizeLinear");
  CHECK(outcome.asked == std::vector<std::string>{"x", "y"});
}

TEST_CASE("select_nodes: Relu and Clip become part of the node before them") {
  Outcome outcome = run_node(
      "%c = Conv(%x, %w) %r = Clip(%c, %low, %high) @clip %y = Conv(%r, %w)",
      "init %low = float[] {0} init %high = float[] {6}");
  CHECK(outcome.source("clip", 0) == "Conv");
  // Not one that cannot hold zero: real zero must be a code.
  outcome = run_node(
      "%c = Conv(%x, %w) %r = Clip(%c, %low, %high) @clip %y = Conv(%r, %w)",
      "init %low = float[] {1} init %high = float[] {6}");
  CHECK(outcome.node("clip")->output()->type.elem == ir::DataType::kUint8);
  // Nor one whose input has other readers.
  outcome =
      run_node("%c = Conv(%x, %w) %r = Relu(%c) @relu %y = Add(%r, %c) @add");
  CHECK(outcome.node("relu")->op_type == "Clip");
  CHECK(outcome.source("relu", 0) == "QuantizeLinear");
}

TEST_CASE("select_nodes: nodes in subgraphs are named") {
  Outcome outcome = quantize_text(R"(opset 17
graph {
  input %c: bool[]
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  %h = Conv(%x, %w) @outer
  %y = If(%c) {
    then_branch = graph { %t = Conv(%h, %w) @inner output %t },
    else_branch = graph { output %h }
  } @choose
  output %y
})");
  CHECK(outcome.reason("inner") ==
        "it stands in a subgraph of If 'choose'; only nodes of the top-level "
        "graph are quantized");
  CHECK(outcome.result.remarks.size() == 1);
  // The branches read the float value behind its DQ.
  const ir::Node* branch = outcome.node("choose");
  ir::Graph* then_branch = branch->subgraphs()[0];
  CHECK(then_branch->node_list()[0]->input(0)->producer()->op_type ==
        "DequantizeLinear");
  CHECK(branch->subgraphs()[1]->outputs()[0]->producer()->op_type ==
        "DequantizeLinear");
}

TEST_CASE("select_nodes: nodes in functions are named") {
  Outcome outcome = quantize_text(R"(opset 17
opset local 1
function local::Twice {
  opset 17
  graph {
    input %a: ?
    %t = MatMul(%a, %a) @product
    output %t
  }
}
graph {
  input %x: float[2,2]
  %y = local::Twice(%x)
  output %y
})");
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.reason("product") ==
        "it stands in function 'Twice'; only nodes of the top-level graph are "
        "quantized");
}

TEST_CASE("quantize_static: what it needs is an error of usage") {
  ir::Model model = ir::parse_text(R"(opset 17
graph {
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  %y = Conv(%x, %w)
  output %y
})");
  PassContext context;
  std::string before = ir::to_text(model);
  try {
    make_quantize_static({})->run(model, context);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    CHECK(std::string(error.what()) ==
          "quantize_static: needs calibration data to observe activations "
          "(give data with --data)");
  }
  try {
    make_quantize_static({.activation_type = ir::DataType::kInt32})
        ->run(model, context);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) ==
          "quantize_static: activation type is int32, expected uint8, int8, "
          "uint16 or int16");
  }
}

}  // namespace
}  // namespace lathe::quantize::test
