#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "passes/io/onnx/onnx.h"
#include "passes/ir/op_table.h"
#include "tests/support/shared.h"
#include "tests/zoo/test/run_once.h"
#include "tests/zoo/zoo.h"

namespace lathe::zoo {
namespace {

// The graph as the runtime optimizes it; the model runs, too.
ir::Model optimized_graph(const ir::Model& model) {
  lathe::test::TempDir folder;
  latency::SessionOptions options;
  options.optimized_model = folder.path() / "optimized.onnx";
  test::check_runs(model, options);
  return io::import_onnx(options.optimized_model);
}

std::map<std::string, int> operators(const ir::Model& model) {
  std::map<std::string, int> counts;
  for (const auto& node : model.graph->nodes()) ++counts[node->op_type];
  return counts;
}

// Products by constant matrices.
int linear_layers(const ir::Model& model) {
  int found = 0;
  for (const auto& node : model.graph->nodes())
    found += (node->is("MatMul") || node->is("Gemm")) &&
             node->input(1)->is_constant();
  return found;
}

// Float products whose operands were dequantized for them.
int dequantized_products(const ir::Model& model) {
  int found = 0;
  for (const auto& node : model.graph->nodes())
    if (node->is("MatMul") || node->is("Gemm") || node->op_type == "FusedGemm")
      found += std::ranges::any_of(node->inputs(), [](const ir::Value* value) {
        return value && value->producer() &&
               value->producer()->is("DequantizeLinear");
      });
  return found;
}

int count(const ir::Model& model, const std::string& op) {
  int found = 0;
  for (const auto& node : model.graph->nodes()) found += node->op_type == op;
  return found;
}

TEST_CASE("int8 forms run in integer kernels") {
  // Products of two activations left in float, because an operand is computed
  // in float.
  const std::map<std::string, int> float_products = {{"bert_tiny", 2}};
  for (const ZooModel& entry : zoo()) {
    CAPTURE(entry.name);
    ir::Model model = entry.build(2);
    const int convs = count(model, "Conv"), layers = linear_layers(model);
    const int products = count(model, "MatMul") + count(model, "Gemm");
    ir::Model quantized = quantize_for_latency(model, 3);
    CHECK(count(model, "QuantizeLinear") == 0);
    model = ir::Model();
    ir::verify(*quantized.graph, "zoo");
    ir::Model optimized = optimized_graph(quantized);
    auto found = operators(optimized);
    CHECK(found["QLinearConv"] == convs);
    CHECK(found["Conv"] + found["FusedConv"] == 0);
    auto in_float = float_products.find(entry.name);
    const int left = in_float == float_products.end() ? 0 : in_float->second;
    CHECK(products - left >= layers);
    CHECK(found["QGemm"] + found["QLinearMatMul"] +
              found["MatMulIntegerToFloat"] ==
          products - left);
    CHECK(found["MatMul"] + found["FusedMatMul"] == left);
    CHECK(found["Gemm"] + found["FusedGemm"] == 0);
    CHECK(dequantized_products(optimized) == 0);
  }
}

TEST_CASE("int8 forms of variants run in integer kernels") {
  for (const RandomWidthFamily& family : random_width_families()) {
    CAPTURE(family.name);
    ir::Model model = family.build(4, 64);
    auto found = operators(optimized_graph(quantize_for_latency(model, 4)));
    CHECK(found["QLinearConv"] == count(model, "Conv"));
  }
}

TEST_CASE("simplify folds what resnet18_with_batch_norm keeps") {
  ir::Model model = resnet18_with_batch_norm(1);
  CHECK(count(model, "BatchNormalization") == 20);
  test::check_runs(model);
  auto found = operators(optimized_graph(quantize_for_latency(model, 1)));
  CHECK(found["QLinearConv"] == 20);
  CHECK(found["BatchNormalization"] == 0);
}

}  // namespace
}  // namespace lathe::zoo
