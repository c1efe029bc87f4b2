// The table of methods, and those that look at weights alone.
#include "passes/prune/saliency.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "passes/base/error.h"
#include "passes/base/progress.h"
#include "tests/passes/prune/saliency_support.h"

namespace lathe {
namespace {

using prune::Saliency;

// Group 0: the three channels of `first`; group 1, frozen: the outputs.
const char* kChain = R"(
  input %x: float[1,2,1,1]
  init %w1 = float[3,2,1,1] {1.0, -2.0, 0.0, 0.0, 3.0, 4.0}
  init %w2 = float[2,3,1,1] {1.0, 7.0, -2.0, 1.0, 7.0, 0.0}
  %a = Conv(%x, %w1) @first
  %b = Relu(%a)
  %y = Conv(%b, %w2) @second
  output %y)";

void check_units(const std::vector<double>& found,
                 const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    CHECK(found[i] == doctest::Approx(expected[i]));
}

TEST_CASE("saliency: norms of what computes a unit, by the group's mean") {
  const ir::Model model = test::text_model(kChain);
  const double five = std::sqrt(5.0);
  check_units(test::saliency_of(model, {.method = "l1"})[0],
              {3 * 3.0 / 10, 0, 7 * 3.0 / 10});
  check_units(test::saliency_of(model, {.method = "l2"})[0],
              {3 * five / (five + 5), 0, 15 / (five + 5)});
  // |1| + |1| and |-2| more, and 14 for the unit that nothing computes.
  check_units(test::saliency_of(model, {.method = "l1", .readers = true})[0],
              {3 * 5.0 / 28, 3 * 14.0 / 28, 3 * 9.0 / 28});
}

TEST_CASE("saliency: what is frozen costs infinitely much") {
  const Saliency saliency =
      test::saliency_of(test::text_model(kChain), {.method = "l2"});
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  REQUIRE(saliency.size() == 2);
  CHECK(saliency[1] == std::vector<double>{kInfinity, kInfinity});
}

TEST_CASE("saliency: channels that are added have one norm") {
  const Saliency saliency = test::saliency_of(test::text_model(R"(
    input %x: float[1,2,1,1]
    init %w1 = float[2,2,1,1] {1.0, 2.0, 3.0, 4.0}
    init %b1 = float[2] {100.0, 100.0}
    init %w2 = float[2,2,1,1] {2.0, 4.0, 0.0, 0.0}
    init %w3 = float[1,2,1,1] {1.0, 1.0}
    %a = Conv(%x, %w1, %b1) @one
    %b = Conv(%x, %w2) @two
    %c = Add(%a, %b)
    %y = Conv(%c, %w3) @three
    output %y)"),
                                              {.method = "l2"});
  // sqrt(1 + 4 + 4 + 16) = 5 = sqrt(9 + 16): biases do not count.
  check_units(saliency[0], {1, 1});
}

TEST_CASE("saliency: a head's norm is that of all its features") {
  const Saliency saliency = test::saliency_of(test::text_model(R"(
    input %x: float[1,3,1]
    init %q = float[1,4] {1.0, -1.0, 5.0, 5.0}
    init %k = float[1,4] {1.0, -1.0, 5.0, 5.0}
    init %v = float[1,4] {0.0, 0.0, 0.0, 0.0}
    init %o = float[4,2] {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0}
    init %split = int64[4] {1, 3, 2, 2}
    init %joined = int64[3] {1, 3, 4}
    %q0 = MatMul(%x, %q) @q
    %q1 = Reshape(%q0, %split)
    %q2 = Transpose(%q1) {perm = [0, 2, 1, 3]}
    %k0 = MatMul(%x, %k) @k
    %k1 = Reshape(%k0, %split)
    %k2 = Transpose(%k1) {perm = [0, 2, 3, 1]}
    %v0 = MatMul(%x, %v) @v
    %v1 = Reshape(%v0, %split)
    %v2 = Transpose(%v1) {perm = [0, 2, 1, 3]}
    %s = MatMul(%q2, %k2)
    %p = Softmax(%s)
    %m = MatMul(%p, %v2)
    %t = Transpose(%m) {perm = [0, 2, 1, 3]}
    %j = Reshape(%t, %joined)
    %y = MatMul(%j, %o) @out
    output %y)"),
                                              {.method = "l1"});
  REQUIRE(saliency[0].size() == 2);  // heads: 4 and 20
  check_units(saliency[0], {2 * 4.0 / 24, 2 * 20.0 / 24});
  check_units(saliency[1], {1, 1});  // elements of queries and keys: 12 each
}

TEST_CASE("saliency: scales of the normalization behind a channel") {
  const ir::Model model = test::text_model(R"(
    input %x: float[1,1,1,1]
    init %w1 = float[2,1,1,1] {1.0, 1.0}
    init %w2 = float[2,2,1,1] {6.0, 8.0, 0.0, 10.0}
    init %w3 = float[1,2,1,1] {1.0, 1.0}
    init %gamma = float[2] {-3.0, 1.0}
    init %zero = float[2] {0.0, 0.0}
    init %one = float[2] {1.0, 1.0}
    %a = Conv(%x, %w1) @first
    %n = BatchNormalization(%a, %gamma, %zero, %zero, %one)
    %b = Relu(%n)
    %c = Conv(%b, %w2) @second
    %y = Conv(%c, %w3) @third
    output %y)");
  struct Lines final : ProgressSink {
    void warn(std::string_view line) override { text += line; }
    std::string text;
  } lines;
  PassContext context;
  context.progress = &lines;
  const Saliency saliency = prune::measure_saliency(
      model, prune::ChannelGroups(model), {.method = "bn_scale"}, context);
  check_units(saliency[0], {1.5, 0.5});
  check_units(saliency[1], {1, 1});  // l2
  CHECK(lines.text ==
        "saliency 'bn_scale': 1 groups go through no BatchNormalization and "
        "are judged by l2, 'second' first");
}

TEST_CASE("saliency: a method is named, and has what it needs") {
  const ir::Model model = test::text_model(kChain);
  CHECK(prune::saliency_names() ==
        std::vector<std::string>{"l1", "l2", "bn_scale", "taylor", "fisher",
                                 "reconstruction"});
  for (const prune::SaliencyMethod& method : prune::saliency_methods())
    CHECK(method.summary.size() > 20);
  CHECK_THROWS_WITH_AS(
      test::saliency_of(model, {.method = "fischer"}),
      "saliency 'fischer': there is no such method; did you mean 'fisher'? "
      "(the methods are l1, l2, bn_scale, taylor, fisher, reconstruction)",
      Error);
  CHECK_THROWS_WITH_AS(
      test::saliency_of(model, {.method = "taylor"}),
      "saliency 'taylor': it needs samples to run on (give data with --data, "
      "or use l2, which looks at weights alone)",
      Error);
  CHECK_THROWS_WITH_AS(
      test::saliency_of(model, {.method = "bn_scale"}),
      "saliency 'bn_scale': no channels go through a BatchNormalization (where "
      "it was folded into weights, prune the model as it was trained, or use "
      "l2)",
      Error);
}

TEST_CASE("saliency: weights that are not finite are named") {
  ir::Model model = test::text_model(kChain);
  std::vector<float> weights(6, 1);
  weights[2] = std::numeric_limits<float>::quiet_NaN();
  model.graph->find("w1")->set_tensor(
      ir::Tensor::from<float>({3, 2, 1, 1}, weights));
  CHECK_THROWS_WITH_AS(
      test::saliency_of(model, {.method = "l1"}),
      "group 'first': saliency 'l1' is not finite (check the preprocessing of "
      "the data and the model's weights)",
      Error);
}

TEST_CASE("saliency: a model without a unit to remove is not run") {
  const ir::Model model = test::text_model(R"(
    input %x: float[1,2]
    init %w = float[2,2] {1.0, 0.5, -0.5, 1.0}
    %y = MatMul(%x, %w) @only
    output %y)");
  test::GivenBatches empty({});
  CHECK(test::saliency_of(model, {.method = "fisher"}, &empty)[0] ==
        std::vector<double>(2, std::numeric_limits<double>::infinity()));
}

}  // namespace
}  // namespace lathe
