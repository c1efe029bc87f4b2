#include <doctest/doctest.h>

#include <cmath>

#include "passes/base/error.h"
#include "passes/ir/text_format.h"
#include "passes/pass_context.h"
#include "passes/prune/name_patterns.h"
#include "passes/prune/prune.h"

namespace lathe::prune {
namespace {

struct Outcome {
  ir::Model model;
  PassResult result;

  std::vector<float> weights(const char* name) const {
    return model.graph->find(name)->tensor().to_floats();
  }
  // "node: reason" lines.
  std::string remarks() const {
    std::string text;
    for (const Remark& remark : result.remarks)
      text += remark.node + ": " + remark.reason + "\n";
    return text;
  }
};

Outcome sparsify(const std::string& text, SparsifyOptions options) {
  Outcome outcome{ir::parse_text(text), {}};
  PassContext context;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(make_sparsify_weights(std::move(options)));
  outcome.result = run_passes(outcome.model, passes, context);
  return outcome;
}

using Floats = std::vector<float>;

constexpr const char* kGemms = R"(opset 17
graph main {
  input %x: float[N,4]
  init %w = float[4,2] {1.0, -8.0, -2.0, 7.0, 3.0, -6.0, -4.0, 5.0}
  init %v = float[2,2] {0.5, -0.25, 2.0, 1.0}
  init %b = float[2] {0.01, 0.02}
  %h: float[N,2] = Gemm(%x, %w, %b) @first
  %y: float[N,2] = Gemm(%h, %v, %b) {transB = 1} @second
  output %y
})";

TEST_CASE("sparsify_weights: the smallest of each tensor, never a bias") {
  const Outcome half = sparsify(kGemms, {.sparsity = 0.5});
  CHECK(half.result.changes == 2);
  CHECK(half.weights("w") == Floats{0, -8, 0, 7, 0, -6, 0, 5});
  CHECK(half.weights("v") == Floats{0, 0, 2, 1});
  CHECK(half.weights("b") == Floats{0.01f, 0.02f});
  CHECK(half.remarks() == "");
  const Outcome none = sparsify(kGemms, {.sparsity = 0});
  CHECK(none.result.changes == 0);
  CHECK(none.weights("w") == Floats{1, -8, -2, 7, 3, -6, -4, 5});
  // To the nearest whole number of elements.
  CHECK(sparsify(kGemms, {.sparsity = 0.3}).weights("v") ==
        Floats{0.5, 0, 2, 1});
}

TEST_CASE("sparsify_weights: a second time changes nothing") {
  Outcome once = sparsify(kGemms, {.sparsity = 0.5});
  PassContext context;
  CHECK(make_sparsify_weights({.sparsity = 0.5})
            ->run(once.model, context)
            .changes == 0);
}

TEST_CASE("sparsify_weights: N:M along what is summed over") {
  // Columns of w, rows of v.
  const Outcome two = sparsify(kGemms, {.n = 1, .m = 2});
  CHECK(two.weights("w") == Floats{0, -8, -2, 0, 0, -6, -4, 0});
  CHECK(two.weights("v") == Floats{0.5, 0, 2, 0});
  const Outcome three = sparsify(kGemms, {.n = 1, .m = 3});
  // The last row is a block of its own, and stays.
  CHECK(three.weights("w") == Floats{0, -8, 0, 0, 3, 0, -4, 5});
  CHECK(three.remarks() ==
        "second: 2 elements are summed over, fewer than the 3 of a block\n");
}

TEST_CASE("sparsify_weights: N:M of a Conv goes over input channels") {
  const Outcome outcome = sparsify(R"(opset 17
graph main {
  input %x: float[1,4,3,3]
  init %w = float[1,4,1,2] {1.0, -8.0, -2.0, 7.0, 3.0, -6.0, -4.0, 5.0}
  init %d = float[1,1,1,1] {2.0}
  %h: float[1,1,3,2] = Conv(%x, %w) @dense
  %y: float[1,1,3,2] = Conv(%h, %d) @single
  output %y
})",
                                   {.n = 2, .m = 4});
  CHECK(outcome.weights("w") == Floats{0, -8, 0, 7, 3, 0, -4, 0});
  CHECK(outcome.weights("d") == Floats{2});
  CHECK(outcome.result.changes == 1);
  CHECK(outcome.remarks() ==
        "single: 1 element is summed over, fewer than the 4 of a block\n");
}

TEST_CASE("sparsify_weights: MatMul with its constant on either side") {
  const Outcome outcome = sparsify(R"(opset 17
graph main {
  input %x: float[2,4]
  init %l = float[1,2] {1.0, 2.0}
  init %r = float[4,1] {4.0, 3.0, 1.0, 2.0}
  %h: float[1,4] = MatMul(%l, %x) @left
  %y: float[1,1] = MatMul(%h, %r) @right
  output %y
})",
                                   {.n = 1, .m = 2});
  CHECK(outcome.weights("l") == Floats{0, 2});
  CHECK(outcome.weights("r") == Floats{4, 0, 0, 2});
}

constexpr const char* kShared = R"(opset 17
graph main {
  input %x: float[2,2]
  init %w = float[2,2] {1.0, 2.0, 3.0, 4.0}
  %h: float[2,2] = MatMul(%x, %w) @first
  %y: float[2,2] = Gemm(%h, %w) {transB = 1} @second
  output %y
})";

TEST_CASE("sparsify_weights: a shared weight is changed once") {
  const Outcome outcome = sparsify(kShared, {.sparsity = 0.5});
  CHECK(outcome.result.changes == 1);
  CHECK(outcome.weights("w") == Floats{0, 0, 3, 4});
  CHECK(outcome.remarks() == "");
  const Outcome blocks = sparsify(kShared, {.n = 1, .m = 2});
  CHECK(blocks.result.changes == 0);
  CHECK(blocks.remarks() ==
        "first: MatMul 'first' and Gemm 'second' sum over different axes of "
        "'w'\n"
        "second: MatMul 'first' and Gemm 'second' sum over different axes of "
        "'w'\n");
  const Outcome kept = sparsify(kShared, {.keep = {"fir*"}});
  CHECK(kept.result.changes == 0);
  CHECK(kept.remarks() ==
        "first: keep names 'first', which reads the weights 'w'\n"
        "second: keep names 'first', which reads the weights 'w'\n");
}

TEST_CASE("sparsify_weights: what is left alone, and why") {
  const Outcome outcome = sparsify(R"(opset 17
graph main {
  input %x: float[2,2]
  input %i: int64[2]
  init %t = float[2,2] {1.0, 2.0, 3.0, 4.0}
  init %c = float[2,2,1] {1.0, 2.0, 3.0, 4.0}
  init %k = float[2,2] {1.0, 2.0, 3.0, 4.0}
  %e: float[2,2] = Gather(%t, %i) @embed
  %h: float[2,2] = MatMul(%e, %t) @tied
  %s: float[2,2] = MatMul(%h, %x) @computed
  %u: float[2,2] = MatMul(%s, %k) @named
  %a: float[1,2,2] = Unsqueeze(%u, %axes) @reshape
  %y: float[1,2,2] = ConvTranspose(%a, %c) @up
  init %axes = int64[1] {0}
  output %y
})",
                                   {.keep = {"named", "nmed"}});
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.remarks() ==
        "computed: its weights are computed or can be overridden at run time\n"
        "up: only weights of Conv, Gemm and MatMul are made sparse, not those "
        "of ConvTranspose\n"
        ": keep names 'nmed', which is no compute node of the model; did you "
        "mean 'named'?\n"
        "tied: its weights 't' are read by Gather 'embed' as well\n"
        "named: keep names it\n");
}

TEST_CASE("sparsify_weights: half precision, NaN and infinity") {
  const Outcome outcome = sparsify(R"(opset 17
graph main {
  input %x: float16[2,2]
  init %w = float16[2,2] {1.0, 2.0, 3.0, 4.0}
  %y: float16[2,2] = MatMul(%x, %w) @half
  output %y
})",
                                   {.sparsity = 0.75});
  CHECK(outcome.weights("w") == Floats{0, 0, 0, 4});
  CHECK(outcome.model.graph->find("w")->tensor().type() ==
        ir::DataType::kFloat16);
  ir::Model model = ir::parse_text(kShared);
  model.graph->find("w")->set_tensor(ir::Tensor::from<float>(
      {2, 2}, std::vector<float>{NAN, 1e30f, -INFINITY, 1}));
  PassContext context;
  make_sparsify_weights({.sparsity = 0.5})->run(model, context);
  const Floats left = model.graph->find("w")->tensor().to_floats();
  CHECK(std::isnan(left[0]));
  CHECK(Floats(left.begin() + 1, left.end()) == Floats{0, -INFINITY, 0});
}

TEST_CASE("sparsify_weights: options that make no sense") {
  CHECK_THROWS_WITH_AS(make_sparsify_weights({.sparsity = 1}),
                       "sparsify_weights.sparsity: found 1, expected a share "
                       "of at least 0 and below 1",
                       Error);
  CHECK_THROWS_WITH_AS(make_sparsify_weights({.n = 4, .m = 4}),
                       "sparsify_weights.n: found 4 of 4, expected at least 1 "
                       "and fewer than all",
                       Error);
}

TEST_CASE("names match patterns") {
  CHECK(matches("a", "a"));
  CHECK(matches("*", ""));
  CHECK(matches("layer1.*", "layer1.conv2"));
  CHECK(matches("*.conv*2", "layer1.conv1.conv22"));
  CHECK(matches("a**b", "ab"));
  CHECK_FALSE(matches("", "a"));
  CHECK_FALSE(matches("layer1.*", "layer2.conv1"));
  CHECK_FALSE(matches("*a", "ab"));
  CHECK_FALSE(matches("a.b", "axb"));
}

}  // namespace
}  // namespace lathe::prune
