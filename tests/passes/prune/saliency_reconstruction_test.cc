// Saliency from Gram matrices: errors that can be worked out by hand.
#include <doctest/doctest.h>

#include <cmath>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/prune/saliency.h"
#include "tests/passes/prune/saliency_support.h"
#include "tests/zoo/net_builder.h"

namespace lathe {
namespace {

using prune::Saliency;

std::string numbers(const std::vector<double>& values) {
  std::string text;
  for (const double value : values) {
    const std::string number = std::to_string(value);
    text += (text.empty() ? "{" : ", ") + number;
  }
  return text + "}";
}

Saliency reconstruct(const ir::Model& model, int64_t samples) {
  test::GivenBatches data = test::GivenBatches::normal(model, samples);
  return test::saliency_of(
      model, {.method = "reconstruction", .samples = samples}, &data);
}

// Features h = x w1 of independent x, read by w2.
Saliency of_features(const std::vector<double>& w1,
                     const std::vector<double>& w2, int64_t outputs) {
  const auto units = static_cast<int64_t>(w2.size()) / outputs;
  const auto inputs = static_cast<int64_t>(w1.size()) / units;
  return reconstruct(
      test::text_model(
          "input %x: float[1," + std::to_string(inputs) +
          "]\ninit %w1 = float[" + std::to_string(inputs) + "," +
          std::to_string(units) + "] " + numbers(w1) + "\ninit %w2 = float[" +
          std::to_string(units) + "," + std::to_string(outputs) + "] " +
          numbers(w2) +
          "\n%h = MatMul(%x, %w1) @first\n%y = MatMul(%h, %w2) @second\n"
          "output %y"),
      2000);
}

TEST_CASE("reconstruction: features that know nothing of each other") {
  // Each has its own share of the output's variance.
  const Saliency saliency =
      of_features({1, 0, 0, 0, 2, 0, 0, 0, 1}, {1, 1, 1, 0, 0, 0}, 2);
  const double all = 1 * 2 + 4 * 1;
  CHECK(saliency[0][0] == doctest::Approx(2 / all).epsilon(0.05));
  CHECK(saliency[0][1] == doctest::Approx(4 / all).epsilon(0.05));
  CHECK(saliency[0][2] == 0);  // nobody reads it
}

TEST_CASE("reconstruction: what the others know is not lost") {
  // The third is the sum of the first two: any of the three follows from the
  // others. The fourth does not.
  const Saliency saliency =
      of_features({1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1}, {1, 2, 3, 1}, 1);
  for (const size_t unit : {0, 1, 2}) CHECK(saliency[0][unit] < 1e-3);
  CHECK(saliency[0][3] == doctest::Approx(1 / (16.0 + 25 + 1)).epsilon(0.08));
}

TEST_CASE("reconstruction: correlated features, beside the fit itself") {
  // h0 = a, h1 = a + b, h2 = c: without h1, what b has of the output is lost;
  // without h0, h1 / 2 explains half of a.
  const Saliency saliency =
      of_features({1, 1, 0, 0, 1, 0, 0, 0, 1}, {2, 3, 1}, 1);
  const double all = 25 + 9 + 1;
  CHECK(saliency[0][0] == doctest::Approx(4 * 0.5 / all).epsilon(0.08));
  CHECK(saliency[0][1] == doctest::Approx(9 / all).epsilon(0.08));
  CHECK(saliency[0][2] == doctest::Approx(1 / all).epsilon(0.08));
}

TEST_CASE("reconstruction: a channel that never changes is a bias") {
  const Saliency saliency = reconstruct(test::text_model(R"(
    input %x: float[1,2,4,4]
    init %w1 = float[3,2,1,1] {1.0, 0.0, 0.0, 1.0, 0.0, 0.0}
    init %b1 = float[3] {0.5, 0.0, 9.0}
    init %w2 = float[1,3,1,1] {1.0, 1.0, 1.0}
    %h = Conv(%x, %w1, %b1) @first
    %y = Conv(%h, %w2) @second
    output %y)"),
                                        100);
  CHECK(saliency[0][0] == doctest::Approx(0.5).epsilon(0.1));
  CHECK(saliency[0][2] < 1e-4);
}

TEST_CASE("reconstruction: windows, and groups of a convolution") {
  // White noise: each channel has its own weights' share of each group.
  zoo::NetBuilder net("test", 1);
  ir::Value* x = net.input("x", {1, 4, 7, 7});
  ir::Value* identity =
      net.add_node("Conv", {x, net.uniform("w1", {4, 4, 1, 1}, 1)});
  ir::Value* w2 = net.uniform("w2", {6, 2, 3, 3}, 1);
  ir::Value* y = net.add_node("Conv", {identity, w2}, {{"group", int64_t{2}}});
  ir::Model model = net.finish(y);
  ir::Value* w1 = model.graph->find(identity->producer()->input(1)->name());
  std::vector<float> unit(16, 0);
  for (size_t i = 0; i < 4; ++i) unit[5 * i] = 1;
  w1->set_tensor(ir::Tensor::from<float>({4, 4, 1, 1}, unit));
  const prune::ChannelGroups groups(model);
  const Saliency saliency = reconstruct(model, 200);
  const std::vector<double> weights =
      model.graph->find(y->producer()->input(1)->name())->tensor().to_doubles();
  double all = 0, own[2] = {0, 0};
  for (size_t i = 0; i < weights.size(); ++i) {
    all += weights[i] * weights[i];
    own[i / 9 % 2] += weights[i] * weights[i];
  }
  // The group of channels within each group of the convolution.
  bool found = false;
  for (size_t g = 0; g < groups.groups().size(); ++g) {
    if (groups.groups()[g].readers.empty() ||
        !groups.groups()[g].frozen.empty())
      continue;
    found = true;
    REQUIRE(saliency[g].size() == 2);
    for (size_t i = 0; i < 2; ++i)
      CHECK(saliency[g][i] == doctest::Approx(own[i] / all).epsilon(0.08));
  }
  CHECK(found);
}

TEST_CASE("reconstruction: a copy in another place is known") {
  const Saliency saliency = reconstruct(test::text_model(R"(
    input %x: float[1,2,6,6]
    init %w1 = float[3,2,1,1] {1.0, 0.0, 0.0, 1.0, 1.0, 1.0}
    init %w2 = float[1,3,3,3] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0,
                               1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0,
                               1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0}
    %h = Conv(%x, %w1) @first
    %y = Conv(%h, %w2) {pads = [1, 1, 1, 1]} @second
    output %y)"),
                                        50);
  for (const size_t unit : {0, 1, 2}) CHECK(saliency[0][unit] < 1e-3);
}

TEST_CASE("reconstruction: what no weight reads has its share") {
  // Queries and keys: the second element is twice as large.
  const ir::Model model = test::text_model(R"(
    input %x: float[1,8,2]
    init %q = float[2,2] {1.0, 0.0, 0.0, 2.0}
    init %k = float[2,2] {1.0, 0.0, 0.0, 2.0}
    %q0 = MatMul(%x, %q) @q
    %k0 = MatMul(%x, %k) @k
    %k1 = Transpose(%k0) {perm = [0, 2, 1]}
    %y = MatMul(%q0, %k1)
    output %y)");
  const Saliency saliency = reconstruct(model, 300);
  CHECK(saliency[0][0] == doctest::Approx(0.2).epsilon(0.1));
  CHECK(saliency[0][1] == doctest::Approx(0.8).epsilon(0.1));
}

TEST_CASE("reconstruction: a Gram matrix has a bound") {
  zoo::NetBuilder net("test", 1);
  ir::Value* x = net.linear(net.input("x", {1, 1}), 8193);
  const std::string name = x->name();
  const ir::Model model = net.finish(net.linear(x, 1));
  const std::string message =
      "value '" + name +
      "': 8193 of its features are read together, too many for the Gram matrix "
      "of saliency 'reconstruction' (use taylor or fisher)";
  CHECK_THROWS_WITH_AS(reconstruct(model, 1), message.c_str(), Error);
}

}  // namespace
}  // namespace lathe
