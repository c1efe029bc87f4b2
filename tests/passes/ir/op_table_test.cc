#include "passes/ir/op_table.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace lathe::ir {
namespace {

TEST_CASE("op_table: no operator has two rows") {
  std::set<std::pair<std::string, std::string>> seen;
  for (const Operator& op : all_operators()) {
    INFO(op.domain << "." << op.name);
    CHECK(seen.emplace(op.domain, op.name).second);
  }
}

TEST_CASE("op_table: arities are ranges") {
  for (const Operator& op : all_operators()) {
    INFO(op.domain << "." << op.name);
    CHECK(op.min_inputs >= 0);
    CHECK((op.max_inputs == -1 || op.max_inputs >= op.min_inputs));
    CHECK(op.min_outputs >= 0);
    CHECK((op.max_outputs == -1 || op.max_outputs >= op.min_outputs));
    CHECK(op.max_outputs != 0);
  }
}

TEST_CASE("op_table: every operator of the test models has a row") {
  for (const char* name : {"Add",
                           "BatchNormalization",
                           "Cast",
                           "Clip",
                           "Concat",
                           "Constant",
                           "Conv",
                           "ConstantOfShape",
                           "Div",
                           "Equal",
                           "Exp",
                           "Expand",
                           "Flatten",
                           "Gather",
                           "Gemm",
                           "If",
                           "GlobalAveragePool",
                           "Identity",
                           "LSTM",
                           "MatMul",
                           "MaxPool",
                           "Mul",
                           "Not",
                           "Pad",
                           "Pow",
                           "ReduceMean",
                           "Relu",
                           "Reshape",
                           "Resize",
                           "Shape",
                           "Sigmoid",
                           "Size",
                           "Slice",
                           "Softmax",
                           "Sqrt",
                           "Squeeze",
                           "Sub",
                           "Transpose",
                           "Unsqueeze",
                           "Where",
                           "QuantizeLinear",
                           "DequantizeLinear",
                           "QLinearConv",
                           "LayerNormalization",
                           "Loop"}) {
    const Operator* op = find_operator("", name);
    INFO(name);
    REQUIRE(op != nullptr);
    CHECK(static_cast<bool>(op->infer));
    CHECK(find_operator("ai.onnx", name) == op);
  }
}

TEST_CASE("op_table: domains are kept apart") {
  const Operator* onnx = find_operator("", "Attention");
  const Operator* contrib = find_operator("com.microsoft", "Attention");
  REQUIRE(onnx != nullptr);
  REQUIRE(contrib != nullptr);
  CHECK(onnx != contrib);
  CHECK(find_operator("com.microsoft", "Conv") == nullptr);
  CHECK(find_operator("", "FusedConv") == nullptr);
  CHECK(find_operator("", "NoSuchOperator") == nullptr);
}

TEST_CASE("op_table: only generators are not deterministic") {
  std::set<std::string> found;
  for (const Operator& op : all_operators())
    if (!op.deterministic) found.insert(op.name);
  CHECK(found == std::set<std::string>{"Bernoulli", "Multinomial",
                                       "RandomNormal", "RandomNormalLike",
                                       "RandomUniform", "RandomUniformLike"});
}

TEST_CASE("op_table: compute and recurrent rows have a cost") {
  for (const Operator& op : all_operators()) {
    if (op.op_class != OpClass::kCompute && op.op_class != OpClass::kRecurrent)
      continue;
    INFO(op.domain << "." << op.name);
    CHECK(static_cast<bool>(op.cost));
  }
}

TEST_CASE("op_table: ai.onnx is covered up to opset 23") {
  int count = 0;
  for (const Operator& op : all_operators()) count += *op.domain == '\0';
  CHECK(count >= 195);
}

}  // namespace
}  // namespace lathe::ir
