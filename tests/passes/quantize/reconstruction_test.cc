// What adaround learns together, and the variables that it learns.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "passes/quantize/coded_layers.h"
#include "passes/quantize/reconstruction_units.h"
#include "passes/quantize/rounding_variables.h"
#include "tests/passes/quantize/reference_support.h"

namespace lathe::quantize::test {
namespace {

using Strings = std::vector<std::string>;

// A stem, a residual block, a layer in between, two branches, and a head.
constexpr const char* kBlocks = R"(opset 17 graph {
  input %x: float[1,2,4,4]
  init %w = float[2,2,1,1] {1, 0.3, -0.2, 0.6}
  init %b = float[2] {0.1, 0.2}
  init %v = float[4,3] {1, 0, 0.2, 0.5, 1, 0, 0.3, 0, 1, 0.1, 0.2, 0.3}
  init %k = float[3] {0.5, 0.25, 0}
  %s = Conv(%x, %w, %b) @stem
  %sr = Relu(%s) @stem_relu
  %p = Conv(%sr, %w, %b) @left
  %pr = Relu(%p) @left_relu
  %q = Conv(%pr, %w, %b) @right
  %sum = Add(%q, %sr) @add
  %r = Relu(%sum) @sum_relu
  %m = Conv(%r, %w, %b) @middle
  %c = Conv(%m, %w, %b) @one
  %d = Conv(%m, %w, %b) @two
  %e = Concat(%c, %d) {axis = 1} @both
  %g = GlobalAveragePool(%e) @pool
  %f = Flatten(%g) @flatten
  %y = Gemm(%f, %v, %k) @head
  %z = Softmax(%y) @softmax
  output %z
})";

std::string described(const std::vector<ReconstructionUnit>& units) {
  std::string text;
  for (const ReconstructionUnit& unit : units) {
    for (const CodedLayer* layer : unit.layers) text += layer->node->id() + " ";
    text += "->";
    for (size_t i = 0; i < unit.targets.size(); ++i)
      text += " " + unit.targets[i] + "=" + unit.float_targets[i];
    text += "\n";
  }
  return text;
}

TEST_CASE("reconstruction units: layers") {
  Pair pair(kBlocks);
  std::vector<Remark> remarks;
  auto layers =
      find_coded_layers(pair.quantized.model, pair.reference, remarks);
  CHECK(remarks.empty());
  CHECK(described(layer_units(layers, pair.reference)) ==
        "stem -> sr=sr\nleft -> pr=pr\nright -> q=q\nmiddle -> m=m\n"
        "one -> c=c\ntwo -> d=d\nhead -> y=y\n");
}

TEST_CASE("reconstruction units: blocks") {
  Pair pair(kBlocks);
  std::vector<Remark> remarks;
  auto layers =
      find_coded_layers(pair.quantized.model, pair.reference, remarks);
  CHECK(described(block_units(layers, pair.quantized.model, pair.reference)) ==
        "stem -> sr=sr\nleft right -> r=r\nmiddle -> m=m\none two -> e=e\n"
        "head -> y=y\n");
}

TEST_CASE("reconstruction units: heads that end in several outputs") {
  Pair pair(R"(opset 17 graph {
    input %x: float[1,2,4,4]
    init %w = float[2,2,1,1] {1, 0.3, -0.2, 0.6}
    init %b = float[2] {0.1, 0.2}
    %m = Conv(%x, %w, %b) @stem
    %c = Conv(%m, %w, %b) @one
    %d = Conv(%m, %w, %b) @two
    %e = Conv(%d, %w, %b) @three
    output %c
    output %e
  })");
  std::vector<Remark> remarks;
  auto layers =
      find_coded_layers(pair.quantized.model, pair.reference, remarks);
  // The first output goes no further. The outputs' names went to the
  // DequantizeLinear behind them.
  CHECK(described(block_units(layers, pair.quantized.model, pair.reference)) ==
        "stem -> m=m\none two -> d=d c_float=c\nthree -> e_float=e\n");
}

TEST_CASE("reconstruction units: a long block is taken layer by layer") {
  std::string text = R"(opset 17 graph { input %x: float[1,2,4,4]
    init %w = float[2,2,1,1] {1, 0.3, -0.2, 0.6}
    init %b = float[2] {0.1, 0.2}
    )";
  std::string at = "x";
  for (int i = 0; i < 9; ++i) {
    const std::string next = "c" + std::to_string(i);
    text += "%" + next + " = Conv(%" + at + ", %w, %b) @" + next + "\n";
    at = next;
  }
  text += "%y = Add(%x, %" + at + ") @sum output %y }";
  Pair pair(text);
  std::vector<Remark> remarks;
  auto layers =
      find_coded_layers(pair.quantized.model, pair.reference, remarks);
  CHECK(block_units(layers, pair.quantized.model, pair.reference).size() == 9);
}

TEST_CASE("rounding variables: they start at the weights") {
  CodedLayer layer;
  layer.floats = {0, 0.25f, -0.26f, 1.27f, -1.27f, 0.004f, -0.5f, 2};
  layer.scales = {0.01f, 0.1f};
  layer.inner = 2;
  RoundingVariables variables(layer);
  std::vector<float> soft(8);
  variables.soft_weights(soft);
  for (size_t i = 0; i < soft.size(); ++i)
    CHECK(soft[i] == doctest::Approx(layer.floats[i]).epsilon(1e-5));
  // 0 is a code, 1.27 = 127 steps of 0.01; others go the way they are pushed.
  const std::vector<float> gradient(8, 1);
  for (int i = 0; i < 200; ++i)
    variables.step(gradient, {.learning_rate = 0.1}, 1);
  CHECK(variables.codes() ==
        std::vector<int8_t>{0, 25, -3, 12, -127, 0, -5, 20});
  CHECK(variables.any_free());
  std::vector<float> hard(8);
  variables.soft_weights(soft);
  variables.weights_of(variables.codes(), hard);
  CHECK(soft == hard);
}

TEST_CASE("rounding variables: weights that are codes") {
  CodedLayer layer;
  layer.floats = {0, 0.029999f, -0.05f, 1.270005f};
  layer.scales = {0.01f};
  const RoundingVariables variables(layer);
  CHECK_FALSE(variables.any_free());
  CHECK(variables.codes() == std::vector<int8_t>{0, 3, -5, 127});
}

TEST_CASE("rounding variables: the regularization decides what is undecided") {
  CodedLayer layer;
  layer.floats = {0.4f, 0.6f, -0.4f, -0.6f, 0.1f, 126.9f};
  layer.scales = {1};
  RoundingVariables variables(layer);
  const std::vector<float> gradient(6, 0);
  for (int i = 0; i < 200; ++i)
    variables.step(gradient,
                   {.learning_rate = 0.1, .regularization = 1, .beta = 2}, 1);
  CHECK(variables.codes() == std::vector<int8_t>{0, 1, 0, -1, 0, 127});
  std::vector<float> soft(6);
  variables.soft_weights(soft);
  CHECK(soft == std::vector<float>{0, 1, 0, -1, 0, 127});
}

}  // namespace
}  // namespace lathe::quantize::test
