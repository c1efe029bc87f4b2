// Exact recovery: where what a removed channel carried follows from those that
// stay, the repaired model computes what the dense one does.
#include <fmt/format.h>

#include <cmath>

#include "passes/base/random.h"
#include "passes/prune/repair_fit.h"
#include "tests/passes/prune/repair_support.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

namespace lathe {
namespace {

using test::DrawnSamples;
using test::PrunedModel;
using test::remarks_of;
using test::Removed;

// `count` numbers as the text form has them, drawn.
std::string drawn(int64_t count, uint64_t seed) {
  Random random(seed);
  std::string text;
  for (int64_t i = 0; i < count; ++i)
    text += fmt::format("{}{:.4f}", i ? ", " : "", random.uniform(-1, 1));
  return "{" + text + "}";
}

// Pruned it is far from the dense model; repaired it is the same. `changes`:
// layers that changed.
void recovers(const std::string& body, const Removed& removed,
              int64_t changes = 1, int64_t samples = 64) {
  CAPTURE(body);
  PrunedModel pruned(body, removed);
  REQUIRE(pruned.difference() > 0.05);
  DrawnSamples data(pruned.model, samples);
  const PassResult result = pruned.repair(data);
  CHECK(result.changes == changes);
  CHECK(remarks_of(result) == "");
  CHECK(pruned.difference() < 1e-4);
}

// h3 = 2 h1 - h2, all of them linear in x.
const std::string kDependent =
    "init %w = float[3,2,1,1] {1.0, 0.5, 0.5, -1.0, 1.5, 2.0}\n";

// A convolution of `weights` that reads three dependent channels.
std::string reader(const std::string& input, const std::string& weights,
                   const std::string& attributes, int64_t count) {
  return fmt::format(
      "input %x: float[{}]\n{}init %v = float[{}] {}\n"
      "%h = Conv(%x, %w) @first\n%y = Conv(%h, %v) {{{}}} @second\n"
      "output %y",
      input, kDependent, weights, drawn(count, 7), attributes);
}

TEST_CASE("repair: windows of any form") {
  const Removed third{{"first", {2}}};
  recovers(reader("n,2,6,6", "4,3,1,1", "group = 1", 12), third);
  recovers(reader("n,2,6,6", "4,3,3,3", "pads = [1, 1, 1, 1]", 108), third);
  recovers(
      reader("1,2,9,8", "2,3,3,2", "strides = [2, 1], pads = [0, 1, 2, 0]", 36),
      third);
  recovers(reader("n,2,9,9", "2,3,3,3", "dilations = [2, 3]", 54), third);
  for (const char* pad : {"SAME_UPPER", "SAME_LOWER", "VALID"})
    recovers(
        reader("n,2,7,8", "2,3,4,3",
               fmt::format("auto_pad = \"{}\", strides = [2, 3]", pad), 72),
        third);
}

TEST_CASE("repair: one and three spatial axes") {
  recovers(
      "input %x: float[n,2,12]\n"
      "init %w = float[3,2,1] {1.0, 0.5, 0.5, -1.0, 1.5, 2.0}\n"
      "init %v = float[2,3,3] " +
          drawn(18, 3) +
          "\n%h = Conv(%x, %w) @first\n"
          "%y = Conv(%h, %v) {strides = [2], pads = [1, 0]} @second output %y",
      {{"first", {1}}});
  recovers(
      "input %x: float[n,2,4,5,4]\n"
      "init %w = float[3,2,1,1,1] {1.0, 0.5, 0.5, -1.0, 1.5, 2.0}\n"
      "init %v = float[2,3,2,2,3] " +
          drawn(72, 3) +
          "\n%h = Conv(%x, %w) @first\n"
          "%y = Conv(%h, %v) {pads = [1, 0, 0, 0, 1, 1]} @second output %y",
      {{"first", {0}}});
}

TEST_CASE("repair: what is constant goes into the bias") {
  // h3 = 2 h1 - h2 + 3; neither convolution has a place for it yet.
  PrunedModel pruned(
      "input %x: float[n,2,4,4]\n" + kDependent +
          "init %b = float[3] {0.5, 0.0, 4.0}\n"
          "init %v = float[2,3,1,1] {1.0, 2.0, 3.0, -1.0, 0.5, 1.0}\n"
          "%h = Conv(%x, %w, %b) @first\n%y = Conv(%h, %v) @second output %y",
      {{"first", {2}}});
  DrawnSamples data(pruned.model, 64);
  CHECK(pruned.repair(data).changes == 1);
  CHECK(pruned.difference() < 1e-4);
  const ir::Node& second = *pruned.model.graph->node_list()[1];
  REQUIRE(second.input(2) != nullptr);
  CHECK(second.input(2)->name() == "second_bias");
  const auto bias = second.input(2)->tensor().data<float>();
  CHECK(bias[0] == doctest::Approx(9).epsilon(1e-3));
  CHECK(bias[1] == doctest::Approx(3).epsilon(1e-3));
}

TEST_CASE("repair: matrix products") {
  const std::string first =
      "init %w = float[2,3] {1.0, 0.5, 1.5, 0.5, -1.0, 2.0}\n";
  const Removed third{{"first", {2}}};
  recovers("input %x: float[n,2]\n" + first + "init %v = float[3,4] " +
               drawn(12, 5) +
               "%h = MatMul(%x, %w) @first %y = MatMul(%h, %v) @second "
               "output %y",
           third);
  recovers("input %x: float[n,5,2]\n" + first + "init %v = float[3,4] " +
               drawn(12, 5) + "init %b = float[4] " + drawn(4, 6) +
               "init %a = float[3] {1.0, 2.0, -3.0}\n"
               "%p = MatMul(%x, %w) @first %h = Add(%p, %a) "
               "%q = MatMul(%h, %v) @second %y = Add(%b, %q) @sum output %y",
           third);
  recovers("input %x: float[n,2]\n" + first + "init %v = float[4,3] " +
               drawn(12, 5) + "init %b = float[1,4] " + drawn(4, 6) +
               "init %a = float[3] {1.0, 2.0, -3.0}\n"
               "%h = Gemm(%x, %w, %a) @first %y = Gemm(%h, %v, %b) "
               "{transB = 1, alpha = 0.5, beta = 2.0} @second output %y",
           third);
  recovers("input %x: float[n,2]\n" + first + "init %v = float[3,4] " +
               drawn(12, 5) +
               "init %a = float[3] {1.0, 2.0, -3.0}\n"
               "%h = Gemm(%x, %w, %a) @first %y = Gemm(%h, %v) "
               "{beta = 0.5} @second output %y",
           third);
}

TEST_CASE("repair: a MatMul without an Add behind it gets no bias") {
  PrunedModel pruned(
      "input %x: float[n,2]\n"
      "init %w = float[2,3] {1.0, 0.5, 1.5, 0.5, -1.0, 2.0}\n"
      "init %a = float[3] {0.0, 0.0, 5.0}\ninit %v = float[3,1] {1.0, 1.0, "
      "1.0}\n%p = MatMul(%x, %w) @first %h = Add(%p, %a) "
      "%y = MatMul(%h, %v) @second output %y",
      {{"first", {2}}});
  DrawnSamples data(pruned.model, 64);
  CHECK(pruned.repair(data).changes == 1);
  CHECK(pruned.model.graph->node_list().size() == 3);
  CHECK(pruned.difference() > 0.1);
}

TEST_CASE("repair: grouped and depthwise convolutions") {
  // The second half is twice the first, and so is what is made of it; it goes
  // as a whole.
  const std::string half = drawn(36, 4);
  const std::string both =
      half.substr(0, half.size() - 1) + ", " + half.substr(1);
  recovers(
      "input %x: float[n,2,6,6]\n"
      "init %w = float[4,2,1,1] {1.0, 0.5, -2.0, 1.0, 2.0, 1.0, -4.0, 2.0}\n"
      "init %v = float[4,2,3,3] " +
          both + "\ninit %u = float[2,4,1,1] " + drawn(8, 5) +
          "\n%h = Conv(%x, %w) @first\n"
          "%g = Conv(%h, %v) {group = 2, pads = [1, 1, 1, 1]} @second\n"
          "%y = Conv(%g, %u) @third output %y",
      {{"first", {1}}});
  // Each channel is filtered alike, so that the third still follows from the
  // others behind the filter, which is left alone.
  const std::string filter = "0.1, 0.2, 0.3, -0.4, 1.0, 0.5, 0.3, 0.2, -0.1";
  recovers("input %x: float[n,2,6,6]\n" + kDependent +
               "init %f = float[3,1,3,3] {" + filter + ", " + filter + ", " +
               filter + "}\ninit %v = float[2,3,1,1] " + drawn(6, 4) +
               "\n%h = Conv(%x, %w) @first\n"
               "%d = Conv(%h, %f) {group = 3, pads = [1, 1, 1, 1]} @filter\n"
               "%y = Conv(%d, %v) @second output %y",
           {{"first", {2}}});
}

TEST_CASE("repair: each layer is fitted to what those before it give") {
  // Without h2 half of what u1 and u2 are made of is gone; what is left of
  // each is a multiple of h1, and the last layer makes the best of it.
  PrunedModel pruned(
      "input %x: float[n,2]\ninit %w = float[2,2] {1.0, 0.0, 0.0, 1.0}\n"
      "init %v = float[2,2] {1.0, 1.0, 1.0, -1.0}\n"
      "init %u = float[2,1] {1.0, 1.0}\n"
      "%h = MatMul(%x, %w) @first %k = MatMul(%h, %v) @second "
      "%y = MatMul(%k, %u) @third output %y",
      {{"first", {1}}});
  DrawnSamples data(pruned.model, 64);
  // y = 2 h1: nothing of h2 is missed.
  CHECK(remarks_of(pruned.repair(data)) ==
        "second: no fit lowers its error on held-out samples\n");
  CHECK(pruned.difference() < 1e-4);
}

TEST_CASE("repair: what another term of a sum lacks is made up for") {
  // s = a + b lacks b; t = b, computed from the input, is to be 2 b then.
  PrunedModel pruned(
      "input %x: float[n,2,2,2]\n"
      "init %i = float[2,2,1,1] {1.0, 0.0, 0.0, 1.0}\n"
      "init %w = float[1,2,1,1] {1.0, 1.0}\n"
      "init %u = float[1,2,1,1] {0.0, 1.0}\n"
      "%h = Conv(%x, %i) @first %s = Conv(%h, %w) @second "
      "%t = Conv(%x, %u) @third %z = Add(%s, %t) @sum %y = Relu(%z) "
      "output %y",
      {{"first", {1}}});
  DrawnSamples data(pruned.model, 64);
  CHECK(pruned.repair(data).changes == 2);
  CHECK(pruned.difference() < 1e-4);
}

TEST_CASE("repair: the last of a sum's terms makes up for the others") {
  // As above, but the term that loses inputs is computed last: by the time it
  // is fitted there is nothing to be done about the other one, which is exact.
  recovers(
      "input %x: float[n,2,2,2]\n"
      "init %i = float[3,2,1,1] {1.0, 0.0, 0.0, 1.0, 1.0, 1.0}\n"
      "init %w = float[1,3,1,1] {1.0, 1.0, 1.0}\n"
      "init %u = float[1,2,1,1] {0.0, 1.0}\n"
      "%h = Conv(%x, %i) @first %t = Conv(%x, %u) @third "
      "%s = Conv(%h, %w) @second %y = Add(%s, %t) @sum output %y",
      {{"first", {2}}});
}

TEST_CASE("repair: weights that fit are left as they are") {
  // Whatever units go, the second layer reads none of them.
  PrunedModel pruned(
      "input %x: float[n,2]\ninit %w = float[2,2] {1.0, 0.0, 0.0, 1.0}\n"
      "init %v = float[2,1] {1.0, 0.0}\n"
      "%h = MatMul(%x, %w) @first %y = MatMul(%h, %v) @second output %y",
      {{"first", {1}}});
  DrawnSamples data(pruned.model, 64);
  const PassResult result = pruned.repair(data);
  CHECK(result.changes == 0);
  CHECK(remarks_of(result) == "");
  CHECK(pruned.difference() == 0);
}

TEST_CASE("repair: a BatchNormalization behind a product takes part") {
  // z = 3 (y + 2 - 1) / sqrt(3 + 1) + 0.5, with y of dependent channels and a
  // second output that the normalisation multiplies by 0.
  const std::string body =
      "input %x: float[n,2,4,4]\n" + kDependent +
      "init %a = float[3] {0.0, 0.0, 2.0}\n"
      "init %v = float[2,3,1,1] {1.0, 2.0, 3.0, -1.0, 0.5, 1.0}\n"
      "init %s = float[2] {3.0, 0.0} init %c = float[2] {0.5, 0.25}\n"
      "init %m = float[2] {1.0, 0.0} init %d = float[2] {3.0, 1.0}\n"
      "%h = Conv(%x, %w, %a) @first %p = Conv(%h, %v) @second\n"
      "%y = BatchNormalization(%p, %s, %c, %m, %d) {epsilon = 1.0} @norm\n"
      "output %y";
  PrunedModel pruned(body, {{"first", {2}}});
  DrawnSamples data(pruned.model, 64);
  const PassResult result = pruned.repair(data);
  // Its statistics are not estimated anew: they are part of the fit.
  CHECK(result.changes == 1);
  CHECK(pruned.difference() < 1e-4);
  const ir::Node& norm = *pruned.model.graph->node_list()[2];
  CHECK(norm.input(4)->tensor().to_floats() == std::vector<float>{3, 1});
  CHECK(norm.input(3)->tensor().to_floats()[0] ==
        doctest::Approx(1 - 6).epsilon(1e-3));
  CHECK(norm.input(3)->tensor().to_floats()[1] == 0);
  CHECK(pruned.model.graph->node_list()[1]->input(2) == nullptr);
}

prune::Rows rows_of(const std::vector<float>& x, const std::vector<float>& y) {
  prune::Rows rows;
  rows.x = at::tensor(x).reshape({1, -1, 1});
  rows.y = at::tensor(y).reshape({-1, 1});
  return rows;
}

prune::Affine affine_of(double weight, double intercept) {
  return {at::full({1, 1, 1}, weight, at::kDouble),
          at::full({1}, intercept, at::kDouble)};
}

TEST_CASE("least squares: below a Relu's bound any result will do") {
  // max(y, 0) = max(x, 0), but y is no line.
  std::vector<float> x, y;
  for (int i = -20; i <= 20; ++i) {
    x.push_back(static_cast<float>(i));
    y.push_back(i > 0 ? static_cast<float>(i) : -100.0f);
  }
  const prune::Rows rows = rows_of(x, y);
  const prune::Affine prior = affine_of(0.5, 0);
  const auto fit = [&](prune::Bounds bounds) {
    return prune::fit_least_squares({rows, rows, rows, bounds}, prior, 1e-6, 1);
  };
  const prune::Bounds relu{.low = 0};
  const auto bounded = fit(relu), unbounded = fit({});
  REQUIRE(bounded);
  REQUIRE(unbounded);
  CHECK(prune::squared_error(rows, *bounded, relu, 1) <
        prune::squared_error(rows, *unbounded, relu, 1) / 2);
  // The other way round for an upper bound.
  prune::Rows mirrored = rows_of(x, y);
  mirrored.x = -rows.x;
  mirrored.y = -rows.y;
  const prune::Bounds cap{.high = 0};
  const auto capped = prune::fit_least_squares(
      {mirrored, mirrored, mirrored, cap}, prior, 1e-6, 1);
  REQUIRE(capped);
  CHECK(prune::squared_error(mirrored, *capped, cap, 1) ==
        doctest::Approx(prune::squared_error(rows, *bounded, relu, 1)));
}

TEST_CASE("least squares: every group on its own") {
  for (const int64_t groups : {2, 40}) {
    at::manual_seed(1);
    const at::Tensor weights = at::randn({groups, 2, 3}),
                     intercept = at::randn({2 * groups});
    prune::Rows rows;
    rows.x = at::randn({groups, 5000, 3}) + 2;
    rows.y = at::bmm(rows.x, weights.transpose(1, 2))
                 .permute({1, 0, 2})
                 .reshape({5000, -1}) +
             intercept;
    const auto fitted = prune::fit_least_squares(
        {rows, rows.slice(0, 4000), rows.slice(4000, 5000), {}},
        {at::zeros({groups, 2, 3}, at::kDouble),
         at::zeros({2 * groups}, at::kDouble)},
        1e-6, 2);
    REQUIRE(fitted);
    CHECK((fitted->weights - weights).abs().max().item<double>() < 1e-4);
    CHECK((fitted->intercept - intercept).abs().max().item<double>() < 1e-4);
  }
}

TEST_CASE("least squares: what does no good on other samples is left") {
  // Ten rows that say nothing of y but by chance, and held-out ones.
  Random random(5);
  std::vector<float> x, y;
  for (int i = 0; i < 40; ++i) {
    x.push_back(static_cast<float>(random.normal()));
    y.push_back(static_cast<float>(random.normal()));
  }
  const prune::Rows all = rows_of(x, y);
  const prune::Rows fit = all.slice(0, 10), check = all.slice(10, 40);
  const double mean = fit.y.mean().item<double>();
  // The prior is what the held-out rows would want.
  const double best = check.y.mean().item<double>();
  REQUIRE(std::abs(mean - best) > 0.1);
  CHECK_FALSE(prune::fit_least_squares({all, fit, check, {}},
                                       affine_of(0, best), 1e-3, 1));
  CHECK(prune::fit_least_squares({all, fit, check, {}}, affine_of(9, best),
                                 1e-3, 1));
}

}  // namespace
}  // namespace lathe
