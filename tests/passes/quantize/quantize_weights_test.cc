#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "tests/passes/quantize/noise.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

using Method = WeightOptions::Method;

// The models here are small.
Remark slower(int layers) {
  const std::string count = std::to_string(layers);
  return {"", count + " of " + count +
                  " layers have fewer than 65536 weights: they become smaller "
                  "but slower than in float (the option 'min_elements' leaves "
                  "such layers alone)"};
}

constexpr const char* kProduct = R"(opset 17 graph {
  input %x: float[2,3]
  init %w = float[3,2] {1, 2, 3, 4, 5, 6}
  %y = MatMul(%x, %w) @product
  output %y
})";

Outcome quantize_weights(const std::string& text,
                         WeightOptions options = {.method = Method::kRtn}) {
  return run_text(text, make_quantize_weights(std::move(options)));
}

std::string usage_error(WeightOptions options) {
  try {
    quantize_weights(kProduct, std::move(options));
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + ": " + error.what();
  }
  return "no error";
}

TEST_CASE("quantize_weights: options that no kernel takes") {
  CHECK(usage_error({.bits = 5}) ==
        "usage: quantize_weights: bits is 5, expected 4 or 8");
  CHECK(usage_error({.block_size = 24}) ==
        "usage: quantize_weights: block_size is 24, expected a power of two "
        "from 16");
  CHECK(usage_error({.block_size = 8}) ==
        "usage: quantize_weights: block_size is 8, expected a power of two "
        "from 16");
  CHECK(usage_error({.accuracy_level = 5}) ==
        "usage: quantize_weights: accuracy_level is 5, expected 0 to 4");
  CHECK(usage_error({.embeddings = true}) ==
        "usage: quantize_weights: embeddings are quantized in the form qdq "
        "only");
  CHECK(usage_error({.convolutions = true}) ==
        "usage: quantize_weights: convolutions are quantized in the form qdq "
        "only");
  CHECK(usage_error({.method = Method::kGptq}) ==
        "usage: quantize_weights: GPTQ needs samples, but none are given (give "
        "data, or the method rtn)");
}

TEST_CASE("quantize_weights: without data it says that it only rounds") {
  const Outcome outcome = quantize_weights(kProduct, {});
  CHECK(outcome.count("MatMulNBits") == 1);
  CHECK(outcome.result.remarks ==
        std::vector<Remark>{slower(1),
                            {"",
                             "weights are rounded to nearest: GPTQ would need "
                             "samples, and none are given"}});
}

TEST_CASE("quantize_weights: synthetic data is no reason for GPTQ") {
  ir::Model model = ir::parse_text(kProduct);
  NoiseSource noise(model, 2);
  PassContext context;
  context.data = &noise;
  const PassResult result = make_quantize_weights({})->run(model, context);
  CHECK(result.remarks ==
        std::vector<Remark>{slower(1),
                            {"",
                             "weights are rounded to nearest: GPTQ would need "
                             "real samples, and these are synthetic"}});
}

TEST_CASE("quantize_weights: GPTQ of weights that several inputs meet") {
  // %w meets two inputs and is rounded once, for both; no sample reaches %u.
  ir::Model model = ir::parse_text(R"(opset 17 graph {
    input %x: float[4,3]
    init %w = float[3,2] {1, 2, 3, 4, 5, 6}
    init %u = float[3,2] {1, 2, 3, 4, 5, 6}
    init %zero = int64[1] {0}
    %r = Relu(%x)
    %a = MatMul(%x, %w) @first
    %b = MatMul(%r, %w) @second
    %none = Slice(%x, %zero, %zero)
    %c = MatMul(%none, %u) @third
    output %a output %b output %c
  })");
  for (const bool sequential : {true, false}) {
    ir::Model result = ir::clone(model);
    NoiseSource noise(model, 3);
    PassContext context;
    context.data = &noise;
    std::vector<std::unique_ptr<Pass>> passes;
    passes.push_back(make_quantize_weights(
        {.method = Method::kGptq, .sequential = sequential}));
    const PassResult done = run_passes(result, passes, context);
    CHECK(done.changes == 3);
    CHECK(done.remarks ==
          std::vector<Remark>{slower(3),
                              {"third",
                               "the data never reaches it, so its weights are "
                               "rounded to nearest"}});
    const ir::Value* codes = result.graph->find("w_quantized");
    REQUIRE(codes);
    CHECK(codes->uses().size() == 2);
    CHECK(result.graph->find("w") == nullptr);
    CHECK(result.graph->find("w_quantized_2") == nullptr);
  }
}

TEST_CASE("quantize_weights: what stays in float says why") {
  const Outcome outcome = quantize_weights(
      R"(opset 17 graph {
    input %x: float[2,2]
    input %s: float[3,2,2]
    input %given: float[2,2] = float[2,2] {1, 2, 3, 4}
    init %w = float[2,2] {1, 2, 3, 4}
    init %u = float[2,2] {1, 2, 3, 4}
    init %stack = float[3,2,2] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
    init %row = float[2] {1, 2}
    init %inf = float[2,2] {1, inf, 3, 4}
    init %d = double[2,2] {1, 2, 3, 4}
    %a = MatMul(%x, %given) @overridable
    %b = MatMul(%w, %x) @left
    %c = MatMul(%s, %stack) @stack
    %e = MatMul(%x, %row) @vector
    %f = MatMul(%x, %inf) @infinite
    %g = Gemm(%x, %w) {transA = 1} @turned
    %h = Gemm(%x, %w) {alpha = 2.0} @alpha
    %i = Gemm(%x, %w, %row) {beta = 0.5} @beta
    %xd = Cast(%x) {to = 11}
    %j = MatMul(%xd, %d) @double
    %k = MatMul(%x, %u) @excluded
    output %a output %b output %c output %e output %f output %g output %h
    output %i output %j output %k
  })",
      {.method = Method::kRtn, .exclude_nodes = {"excluded", "exclude"}});
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.result.remarks ==
        std::vector<Remark>{
            {"",
             "exclude_nodes names 'exclude', which is no node of the "
             "simplified model; did you mean 'excluded'?"},
            {"overridable",
             "'given' (weights) is a model input that can be overridden at run "
             "time"},
            {"left",
             "'w' (the left operand) is constant; weights are quantized on the "
             "right"},
            {"stack", "'stack' (weights) has rank 3, expected 2"},
            {"vector", "'row' (weights) has rank 1, expected 2"},
            {"infinite", "'inf' (weights) holds NaN or infinity"},
            {"turned", "its left operand is transposed"},
            {"alpha", "its alpha is 2, expected 1"},
            {"beta", "its beta is 0.5, expected 1"},
            {"double", "'d' (weights) is double; only float is quantized"},
            {"excluded", "exclude_nodes names it"}});
}

TEST_CASE("quantize_weights: tables with another axis, and inner nodes") {
  const Outcome outcome = quantize_weights(R"(opset 17 graph {
    input %i: int64[1]
    input %c: bool[]
    input %x: float[1,2]
    init %t = float[2,2] {1, 2, 3, 4}
    init %w = float[2,2] {1, 2, 3, 4}
    %a = Gather(%t, %i) {axis = 1} @columns
    %b = MatMul(%x, %w) @product
    %y = If(%c) {
      then_branch = graph then { %p = MatMul(%x, %w) @inner output %p },
      else_branch = graph else { %q = Neg(%x) output %q }
    } @if
    output %a output %b output %y
  })",
                                           {.form = WeightOptions::Form::kQdq,
                                            .method = Method::kRtn,
                                            .embeddings = true});
  CHECK(outcome.result.changes > 0);
  CHECK(outcome.reason("columns") == "its axis is 1, expected 0");
  CHECK(outcome.reason("inner") ==
        "it stands in a subgraph of If 'if'; only nodes of the top-level graph "
        "are quantized");
  CHECK(outcome.reason("product") ==
        "its weights 'w' stay in float as well: MatMul 'inner' reads them");
  CHECK(outcome.model.opset() == 21);
}

TEST_CASE("quantize_weights: nothing to quantize, nothing raised") {
  const Outcome outcome = quantize_weights(
      "opset 17 graph { input %x: float[2,3] %y = Relu(%x) output %y }",
      {.form = WeightOptions::Form::kQdq, .method = Method::kRtn});
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.model.opset() == 17);
}

constexpr const char* kConvolutions = R"(opset 17 graph {
  input %x: float[1,2,4,4]
  init %w = float[2,2,1,2] {0.7, -1.4, 0.2, 0, 0.35, 0.1, -0.8, 0.3}
  init %u = float[2,1,1,1] {1, 2}
  init %b = float[2] {1, 2}
  %c = Conv(%x, %w, %b) @conv
  %y = Conv(%c, %u) {group = 2} @groups
  output %y
})";

TEST_CASE("quantize_weights: convolutions have one scale an output channel") {
  const Outcome outcome =
      quantize_weights(kConvolutions, {.symmetric = false,
                                       .form = WeightOptions::Form::kQdq,
                                       .method = Method::kRtn,
                                       .search_scale = false,
                                       .convolutions = true});
  CHECK(outcome.result.changes > 0);
  CHECK(outcome.result.remarks.empty());
  CHECK(outcome.model.opset() == 21);
  CHECK(outcome.model.graph->find("w") == nullptr);
  const ir::Node* dequantize = outcome.node("w_DequantizeLinear");
  REQUIRE(dequantize);
  CHECK(dequantize->attr_int("axis", 1) == 0);
  CHECK_FALSE(dequantize->has_attribute("block_size"));
  const ir::Tensor& codes = dequantize->input(0)->tensor();
  CHECK(codes.type() == ir::DataType::kUint4);
  CHECK(codes.dims() == std::vector<int64_t>{2, 2, 1, 2});
  // (0.7 + 1.4) / 15 and (0.35 + 0.8) / 15
  CHECK(codes.to_int64s() ==
        std::vector<int64_t>{15, 0, 11, 10, 15, 11, 0, 14});
  const ir::Tensor& scales = dequantize->input(1)->tensor();
  CHECK(scales.dims() == std::vector<int64_t>{2});
  CHECK(scales.to_floats()[0] == doctest::Approx(0.14));
  CHECK(scales.to_floats()[1] == doctest::Approx(1.15 / 15));
  CHECK(dequantize->input(2)->tensor().to_int64s() ==
        std::vector<int64_t>{10, 10});
  CHECK(outcome.node("conv")->input(2)->name() == "b");
}

TEST_CASE("quantize_weights: GPTQ leaves grouped convolutions to rounding") {
  ir::Model model = ir::parse_text(kConvolutions);
  NoiseSource noise(model, 2);
  PassContext context;
  context.data = &noise;
  const PassResult result =
      make_quantize_weights({.form = WeightOptions::Form::kQdq,
                             .method = Method::kGptq,
                             .convolutions = true})
          ->run(model, context);
  CHECK(result.remarks ==
        std::vector<Remark>{{"groups",
                             "GPTQ takes no convolution in groups, so its "
                             "weights are rounded to nearest"}});
  CHECK(model.graph->find("w_quantized") != nullptr);
  CHECK(model.graph->find("c_unfolded") == nullptr);
}

TEST_CASE("quantize_weights: the least number of weights") {
  Outcome outcome =
      quantize_weights(kProduct, {.method = Method::kRtn, .min_elements = 7});
  CHECK(outcome.result.changes == 0);
  CHECK(
      outcome.result.remarks ==
      std::vector<Remark>{
          {"product", "it has 6 weights, and the option 'min_elements' is 7"}});
  outcome =
      quantize_weights(kProduct, {.method = Method::kRtn, .min_elements = 6});
  CHECK(outcome.result.remarks == std::vector<Remark>{slower(1)});
}

TEST_CASE("quantize_weights: small matrices are not padded to a whole block") {
  const Outcome outcome =
      quantize_weights(kProduct, {.block_size = 256, .method = Method::kRtn});
  CHECK(outcome.node("product")->attr_int("block_size", 0) == 16);
}

}  // namespace
}  // namespace lathe::quantize::test
