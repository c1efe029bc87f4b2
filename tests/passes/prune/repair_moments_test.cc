// match_channel_moments: means and standard deviations of the dense model.
#include <doctest/doctest.h>

#include <cmath>

#include "tests/passes/prune/repair_support.h"

namespace lathe {
namespace {

using test::DrawnSamples;
using test::PrunedModel;
using test::remarks_of;

struct Moments {
  double mean = 0, deviation = 0;
};

// Of every channel of an output [n, channels, positions], over the samples that
// the model was repaired with.
std::vector<Moments> moments_of(const ir::Model& model, int64_t channels,
                                int64_t samples) {
  const std::vector<float> values =
      test::outputs_of(model, samples, /*seed=*/1).at(0);
  const size_t inner = values.size() / static_cast<size_t>(samples * channels);
  std::vector<Moments> moments;
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (static_cast<int64_t>(i / inner) % channels != c) continue;
      sum += values[i];
      squares += double{values[i]} * values[i];
    }
    const double count =
        static_cast<double>(samples) * static_cast<double>(inner);
    moments.push_back(
        {sum / count, std::sqrt(squares / count - sum * sum / count / count)});
  }
  return moments;
}

// The removed channel has a mean of 3 and its own variance.
constexpr const char* kConvolutions = R"(
  input %x: float[n,2,4,4]
  init %w = float[3,2,1,1] {1.0, 0.0, 0.0, 1.0, 1.0, 2.0}
  init %a = float[3] {0.0, 0.5, 3.0}
  init %v = float[2,3,1,1] {1.0, 2.0, 1.0, -1.0, 0.5, 2.0}
  %h = Conv(%x, %w, %a) @first
  %y = Conv(%h, %v) @second
  output %y)";

TEST_CASE("match_channel_moments: a convolution") {
  PrunedModel pruned(kConvolutions, {{"first", {2}}});
  const auto wanted = moments_of(pruned.dense, 2, 64);
  const auto before = moments_of(pruned.model, 2, 64);
  CHECK(std::fabs(before[0].mean - wanted[0].mean) > 1);
  DrawnSamples data(pruned.model, 64);
  const PassResult result =
      pruned.run(prune::make_match_channel_moments(), data);
  CHECK(result.changes == 1);
  CHECK(remarks_of(result) == "");
  const auto after = moments_of(pruned.model, 2, 64);
  for (size_t c = 0; c < 2; ++c) {
    CHECK(after[c].mean == doctest::Approx(wanted[c].mean).epsilon(1e-4));
    CHECK(after[c].deviation ==
          doctest::Approx(wanted[c].deviation).epsilon(1e-4));
  }
  // Scaled and shifted, and nothing else.
  const ir::Node& second = *pruned.model.graph->node_list()[1];
  const auto weights = second.input(1)->tensor().data<float>();
  CHECK(weights[1] / weights[0] == doctest::Approx(2));
  CHECK(weights[3] / weights[2] == doctest::Approx(-0.5));
  REQUIRE(second.input(2) != nullptr);
}

TEST_CASE("match_channel_moments: a MatMul keeps its mean without an Add") {
  PrunedModel pruned(R"(
    input %x: float[n,2]
    init %w = float[2,3] {1.0, 0.0, 1.0, 0.0, 1.0, 2.0}
    init %a = float[3] {0.0, 0.0, 3.0}
    init %v = float[3,1] {1.0, 1.0, 1.0}
    %p = MatMul(%x, %w) @first
    %h = Add(%p, %a)
    %y = MatMul(%h, %v) @second
    output %y)",
                     {{"first", {2}}});
  const auto wanted = moments_of(pruned.dense, 1, 64);
  DrawnSamples data(pruned.model, 64);
  CHECK(pruned.run(prune::make_match_channel_moments(), data).changes == 1);
  const auto after = moments_of(pruned.model, 1, 64);
  CHECK(after[0].deviation ==
        doctest::Approx(wanted[0].deviation).epsilon(1e-4));
  CHECK(std::fabs(after[0].mean - wanted[0].mean) > 1);
  CHECK(pruned.model.graph->node_list().size() == 3);
}

TEST_CASE("match_channel_moments: a channel that has become constant") {
  // What the second output was made of is gone: only its mean can be kept.
  PrunedModel pruned(R"(
    input %x: float[n,2]
    init %w = float[2,2] {1.0, 0.0, 0.0, 1.0}
    init %a = float[2] {0.0, 5.0}
    init %v = float[2,2] {1.0, 0.0, 1.0, 1.0}
    init %b = float[2] {0.0, 0.0}
    %h = Gemm(%x, %w, %a) @first
    %y = Gemm(%h, %v, %b) @second
    output %y)",
                     {{"first", {1}}});
  DrawnSamples data(pruned.model, 64);
  CHECK(pruned.run(prune::make_match_channel_moments(), data).changes == 1);
  const auto wanted = moments_of(pruned.dense, 2, 64);
  const auto after = moments_of(pruned.model, 2, 64);
  CHECK(after[1].mean == doctest::Approx(wanted[1].mean).epsilon(1e-4));
  CHECK(after[1].deviation < 1e-3);
}

TEST_CASE("reconstruct_consumers: no moments, no statistics") {
  PrunedModel pruned(kConvolutions, {{"first", {2}}});
  DrawnSamples data(pruned.model, 64);
  const PassResult result =
      pruned.run(prune::make_reconstruct_consumers(), data);
  CHECK(result.changes == 1);
  CHECK(pruned.difference() < 1e-4);
}

}  // namespace
}  // namespace lathe
