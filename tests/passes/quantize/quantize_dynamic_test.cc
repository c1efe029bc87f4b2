#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "passes/device_traits.h"
#include "passes/quantize/saturation.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

Outcome dynamic(const std::string& text,
                DynamicOptions options = {.min_elements = 0}) {
  return run_text(text, make_quantize_dynamic(std::move(options)));
}

Outcome body(const std::string& text,
             DynamicOptions options = {.min_elements = 0}) {
  return dynamic(
      "opset 17 graph { input %x: float[2,2] " + text + " output %y }",
      std::move(options));
}

constexpr const char* kW = "init %w = float[2,2] {1, 2, 3, 4} ";

TEST_CASE("quantize_dynamic: what stays in float says why") {
  struct Row {
    const char *text, *reason;
  };
  for (const Row& row : {
           Row{"input %w: float[2,2] %y = MatMul(%x, %w) @n",
               "both of its operands are computed"},
           Row{"init %w = float[2,2] {1, 2, 3, 4} %y = MatMul(%w, %x) @n",
               "its constant is the left operand; the integer kernel takes "
               "int8 weights on the right only"},
           Row{"init %w = float[2] {1, 2} %y = MatMul(%x, %w) @n",
               "its weights have rank 1; a matrix-vector product stays in "
               "float"},
           Row{"init %w = float[2,2] {1, 2, 3, 4} "
               "%y = Gemm(%x, %w) {transA = 1} @n",
               "it transposes its input"},
           Row{"input %b: float[2] init %w = float[2,2] {1, 2, 3, 4} "
               "%y = Gemm(%x, %w, %b) {beta = 2.0} @n",
               "its bias is computed and its beta is 2, not 1"},
           Row{"input %w: float[2,2] %y = Gemm(%x, %w) @n",
               "'w' (weights) is computed, not constant"},
           Row{"init %w = float[1,2] {1, 2} init %k = float[1,2,1] {1, 1} "
               "init %a = int64[1] {0} %e = Unsqueeze(%x, %a) "
               "%y = Conv(%e, %k) @n",
               "the dynamic form of Conv is slower than Conv; quantize_static "
               "makes an integer kernel of it"},
           Row{"init %w = float[2,2] {1, 2, 3, 4} "
               "%y = Einsum(%x, %w) {equation = \"ij,jk->ik\"} @n",
               "the runtime has no dynamic integer kernel for Einsum"},
       }) {
    CAPTURE(row.text);
    Outcome outcome = body(row.text);
    CHECK(outcome.result.changes == 0);
    CHECK(outcome.result.remarks == std::vector<Remark>{{"n", row.reason}});
  }
}

TEST_CASE("quantize_dynamic: small weights and exclusions") {
  const std::string product = std::string(kW) + "%y = MatMul(%x, %w) @n";
  CHECK(body(product, {.min_elements = 5}).reason("n") ==
        "its weights have 4 elements; below 5 quantizing the input costs more "
        "than the integer kernel saves");
  CHECK(body(product, {.min_elements = 4}).result.changes == 1);
  CHECK(
      body(product, {.min_elements = 0, .exclude_nodes = {"n"}}).reason("n") ==
      "exclude_nodes names it");
  CHECK(body(product, {.min_elements = 0, .exclude_operators = {"MatMul"}})
            .reason("n") == "exclude_operators names MatMul");
  CHECK(body(product, {.min_elements = 0, .exclude_nodes = {"m"}}).reason("") ==
        "exclude_nodes names 'm', which is no node of the simplified model");
}

TEST_CASE("quantize_dynamic: wrong options") {
  CHECK_THROWS_WITH_AS(
      body(kW + std::string("%y = MatMul(%x, %w)"), {.weight_bits = 6}),
      "quantize_dynamic: weights of 6 bits, expected 7 or 8", Error);
  CHECK_THROWS_WITH_AS(
      body(kW + std::string("%y = MatMul(%x, %w)"),
           {.weight_type = ir::DataType::kInt16}),
      "quantize_dynamic: weight type is int16, expected int8 or uint8", Error);
}

TEST_CASE("quantize_dynamic: forms of the weights") {
  const std::string product = std::string(kW) + "%y = MatMul(%x, %w) @n";
  auto tensor = [](const Outcome& outcome, const char* name) {
    return outcome.model.graph->find(name)->tensor();
  };
  SUBCASE("per tensor") {
    Outcome outcome = body(product, {.per_channel = false, .min_elements = 0});
    CHECK(tensor(outcome, "w_scale").rank() == 0);
    CHECK(tensor(outcome, "w_scale").to_floats()[0] ==
          doctest::Approx(4.0 / 127));
    CHECK(tensor(outcome, "w_quantized").to_int64s() ==
          std::vector<int64_t>{32, 64, 95, 127});
  }
  SUBCASE("uint8 is int8 plus 128") {
    Outcome outcome =
        body(product, {.weight_type = ir::DataType::kUint8, .min_elements = 0});
    CHECK(tensor(outcome, "w_quantized").to_int64s() ==
          std::vector<int64_t>{128 + 42, 128 + 64, 128 + 127, 128 + 127});
    CHECK(tensor(outcome, "w_zero_point").to_int64s() ==
          std::vector<int64_t>{128});
    CHECK(outcome.node("y_MatMulInteger")->inputs().size() == 4);
  }
  SUBCASE("7 bits") {
    Outcome outcome =
        body("init %w = float[2,2] {1, 2, 3, 5} %y = MatMul(%x, %w)",
             {.weight_bits = 7, .min_elements = 0});
    CHECK(tensor(outcome, "w_quantized").to_int64s() ==
          std::vector<int64_t>{21, 25, 63, 63});
  }
  SUBCASE("7 bits where pairs saturate, but not in unsigned weights") {
    const DeviceTraits avx2{"x86-64-avx2", true, true};
    for (ir::DataType type : {ir::DataType::kInt8, ir::DataType::kUint8}) {
      Outcome outcome{ir::parse_text("opset 17 graph { input %x: float[2,2] " +
                                     product + " output %y }"),
                      {},
                      {}};
      PassContext context;
      context.device = &avx2;
      outcome.result =
          make_quantize_dynamic({.weight_type = type, .min_elements = 0})
              ->run(outcome.model, context);
      const bool narrowed = type == ir::DataType::kInt8;
      CHECK(outcome.reason("n") == (narrowed ? kSaturationRemark : ""));
      CHECK(tensor(outcome, "w_quantized").to_int64s()[2] ==
            (narrowed ? 63 : 255));
    }
  }
  SUBCASE("a stack of matrices has one scale") {
    Outcome outcome = body(
        "init %w = float[2,2,2] {1, 2, 3, 4, 5, 6, 7, 12.7} "
        "%y = MatMul(%x, %w) @n");
    CHECK(tensor(outcome, "w_scale").rank() == 0);
    CHECK(tensor(outcome, "w_quantized").to_int64s() ==
          std::vector<int64_t>{10, 20, 30, 40, 50, 60, 70, 127});
  }
}

TEST_CASE("quantize_dynamic: weights that others read in float") {
  Outcome outcome = body(
      "init %w = float[2,2] {1, 2, 3, 4} %a = MatMul(%x, %w) @one "
      "%b = MatMul(%a, %w) @two %y = Add(%b, %w) @sum");
  CHECK(outcome.result.changes == 2);
  CHECK(outcome.node("a_MatMulInteger")->input(1) ==
        outcome.node("b_MatMulInteger")->input(1));
  CHECK(outcome.result.remarks ==
        std::vector<Remark>{{"",
                             "'w' is stored twice, as codes and in float: Add "
                             "'sum' reads it in float"}});
}

TEST_CASE("quantize_dynamic: a computed bias and one that varies over rows") {
  Outcome outcome = body(
      "input %b: float[2] init %w = float[2,2] {1, 2, 3, 4} "
      "init %rows = float[2,1] {1, 2} %a = Gemm(%x, %w, %b) @one "
      "%y = Gemm(%a, %w, %rows) {beta = 3.0} @two");
  CHECK(outcome.result.changes == 2);
  CHECK(outcome.node("one")->input(1)->name() == "b");
  CHECK(outcome.node("two")->input(1)->tensor().to_floats() ==
        std::vector<float>{3, 6});
}

constexpr const char* kLstm = R"(opset 17 graph {
  input %x: float[3,1,2]
  init %w = float[1,4,2] {1, 2, 3, 4, 5, 6, 7, 8}
  init %r = float[1,4,1] {1, 2, 3, 4}
  %y, %h = LSTM(%x, %w, %r) {hidden_size = 1} @n
  output %y
  output %h
})";

TEST_CASE("quantize_dynamic: LSTM") {
  Outcome outcome = dynamic(kLstm);
  CHECK(outcome.result.changes == 1);
  CHECK(outcome.result.remarks.empty());
  const ir::Node* node = outcome.node("n");
  CHECK(node->is("DynamicQuantizeLSTM", "com.microsoft"));
  CHECK(outcome.model.opset_imports.at("com.microsoft") == 1);
  CHECK(node->inputs().size() == 12);
  const ir::Tensor& weights = node->input(1)->tensor();
  CHECK(weights.dims() == std::vector<int64_t>{1, 2, 4});
  CHECK(weights.to_int64s() ==
        std::vector<int64_t>{64, 95, 106, 111, 127, 127, 127, 127});
  CHECK(node->input(8)->tensor().dims() == std::vector<int64_t>{1, 4});
  CHECK(node->input(10)->tensor().to_floats()[3] == doctest::Approx(4.0 / 127));
  for (size_t i : {9, 11})
    CHECK(node->input(i)->tensor().identical(
        ir::Tensor::zeros(ir::DataType::kInt8, {1, 4})));
  Outcome tensor = dynamic(kLstm, {.per_channel = false, .min_elements = 0});
  CHECK(tensor.node("n")->input(8)->tensor().dims() == std::vector<int64_t>{1});

  std::string other = kLstm;
  other.replace(other.find("hidden_size = 1"), 15, "layout = 1");
  other.replace(other.find("[3,1,2]"), 7, "[1,3,2]");
  CHECK(dynamic(other).reason("n") ==
        "its layout is batch first, which the dynamic kernel does not take");
  CHECK(dynamic(R"(opset 17 graph {
    input %x: float[3,1,2]
    init %w = float[1,3,2] {1, 2, 3, 4, 5, 6}
    init %r = float[1,3,1] {1, 2, 3}
    %y = GRU(%x, %w, %r) {hidden_size = 1} @n
    output %y })")
            .reason("n") ==
        "the runtime has no dynamic integer kernel for GRU");
}

TEST_CASE("quantize_dynamic: subgraphs and functions") {
  Outcome outcome = dynamic(R"(opset 17 graph {
    input %x: float[2,2]
    input %c: bool[]
    init %w = float[2,2] {1, 2, 3, 4}
    %a = MatMul(%x, %w) @outer
    %y = If(%c) {
      then_branch = graph then {
        %t = MatMul(%x, %w) @inner
        %u = MatMul(%x, %w) @again
        %s = Add(%t, %u)
        output %s
      },
      else_branch = graph else { %e = Identity(%a) output %e }
    }
    output %y
  })");
  CHECK(outcome.result.changes == 3);
  CHECK(outcome.result.remarks.empty());
  // One quantized input a graph, one set of codes in all.
  const ir::Graph* branch = nullptr;
  for (const auto& node : outcome.model.graph->nodes())
    if (node->is("If")) branch = node->attr_graph("then_branch");
  int quantized = 0;
  for (const auto& node : branch->nodes())
    quantized += node->is("DynamicQuantizeLinear");
  CHECK(quantized == 1);
  CHECK(outcome.count("DynamicQuantizeLinear") == 1);
  CHECK(outcome.model.graph->find("w") == nullptr);
  CHECK(branch->initializers().empty());

  ir::Model model = ir::parse_text(
      "opset 17 opset local 1 graph { input %x: float[2,2] "
      "%y = local::Twice(%x) output %y }");
  ir::Function function;
  function.domain = "local";
  function.name = "Twice";
  function.opset_imports = {{"", 17}};
  function.body =
      std::move(ir::parse_text("graph { input %x: float[2,2] "
                               "%y = MatMul(%x, %x) @product output %y }")
                    .graph);
  model.functions.push_back(std::move(function));
  PassContext context;
  CHECK(make_quantize_dynamic({})->run(model, context).remarks ==
        std::vector<Remark>{
            {"product",
             "it stands in function 'Twice', which is left as it is"}});
}

}  // namespace
}  // namespace lathe::quantize::test
