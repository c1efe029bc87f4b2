// reestimate_batch_norm: statistics as they are worked out by hand.
#include <doctest/doctest.h>

#include <cmath>

#include "passes/base/error.h"
#include "tests/passes/prune/repair_support.h"
#include "tests/passes/prune/saliency_support.h"

namespace lathe {
namespace {

using test::DrawnSamples;
using test::remarks_of;

PassResult reestimate(ir::Model& model, BatchSource& data,
                      prune::RepairOptions options = {}, int jobs = 2) {
  PassContext context;
  context.data = &data;
  context.jobs = jobs;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(prune::make_reestimate_batch_norm(options));
  return run_passes(model, passes, context);
}

// Of channels along axis 1 of [samples, 2, inner]: means, then variances.
std::vector<double> statistics(const std::vector<float>& values, size_t inner) {
  std::vector<double> sums(2), squares(2);
  for (size_t i = 0; i < values.size(); ++i) {
    sums[i / inner % 2] += values[i];
    squares[i / inner % 2] += double{values[i]} * values[i];
  }
  const double count = static_cast<double>(values.size()) / 2;
  return {sums[0] / count, sums[1] / count,
          squares[0] / count - sums[0] * sums[0] / count / count,
          squares[1] / count - sums[1] * sums[1] / count / count};
}

void check_statistics(const ir::Node& norm, const std::vector<double>& wanted) {
  for (size_t c = 0; c < 2; ++c) {
    CHECK(norm.input(3)->tensor().to_doubles()[c] ==
          doctest::Approx(wanted[c]).epsilon(1e-5));
    CHECK(norm.input(4)->tensor().to_doubles()[c] ==
          doctest::Approx(wanted[c + 2]).epsilon(1e-5));
  }
}

// Two normalisations that share their statistics, which are nobody's.
std::string two_norms(const std::string& outputs) {
  return R"(
    input %x: float[n,2,3,3]
    init %s = float[2] {2.0, 0.5} init %b = float[2] {1.0, -1.0}
    init %m = float[2] {9.0, -9.0} init %v = float[2] {0.1, 50.0}
    init %w = float[2,2,1,1] {1.0, 2.0, -1.0, 3.0}
    %p = Conv(%x, %w) @first
    %q = BatchNormalization(%p, %s, %b, %m, %v) @norm1
    %r = Relu(%q)
    %t = Conv(%r, %w) @second
    %y = BatchNormalization(%t, %s, %b, %m, %v) @norm2
    )" + outputs;
}

TEST_CASE("reestimate_batch_norm: all that each one reads") {
  ir::Model model =
      test::text_model(two_norms("output %p output %t output %y"));
  DrawnSamples data(model, 50);
  const PassResult result = reestimate(model, data);
  CHECK(result.changes == 2);
  CHECK(remarks_of(result) == "");
  // 50 samples are eight batches of six: two are left out.
  const auto outputs = test::outputs_of(model, 48, /*seed=*/1);
  const auto nodes = model.graph->node_list();
  check_statistics(*nodes[1], statistics(outputs[0], 9));
  // The second reads what the first gives with its new statistics.
  check_statistics(*nodes[4], statistics(outputs[1], 9));
  const auto last = statistics(outputs[2], 9);
  CHECK(last[0] == doctest::Approx(1).epsilon(1e-3));
  CHECK(last[1] == doctest::Approx(-1).epsilon(1e-3));
  CHECK(std::sqrt(last[2]) == doctest::Approx(2).epsilon(1e-3));
  CHECK(std::sqrt(last[3]) == doctest::Approx(0.5).epsilon(1e-3));
}

TEST_CASE("reestimate_batch_norm: the same for any number of jobs") {
  std::vector<std::vector<float>> first;
  for (const int jobs : {1, 3}) {
    ir::Model model = test::text_model(two_norms("output %y"));
    DrawnSamples data(model, 64);
    reestimate(model, data, {}, jobs);
    const auto outputs = test::outputs_of(model);
    if (first.empty()) first = outputs;
    CHECK(outputs == first);
  }
}

TEST_CASE("reestimate_batch_norm: memory allows for fewer samples") {
  ir::Model model = test::text_model(two_norms("output %y"));
  DrawnSamples data(model, 200);
  // A sample's 18 numbers are held, and no more.
  prune::RepairOptions options;
  options.samples = 150;
  options.memory = 100 * 18 * 4;
  CHECK(remarks_of(reestimate(model, data, options)) ==
        ": 96 of 150 samples are used: more would take over 0 MiB\n");
}

TEST_CASE("reestimate_batch_norm: what stays as it is") {
  ir::Model model = test::text_model(R"(
    input %x: float[n,2]
    init %s = float[2] {1.0, 1.0} init %b = float[2] {0.0, 0.0}
    init %m = float[2] {0.0, 0.0} init %v = float[2] {1.0, 1.0}
    init %zero = float[1] {0.0} init %k = float[1,2] {1.0, 2.0}
    %d = Div(%x, %zero)
    %y = BatchNormalization(%d, %s, %b, %m, %v) @norm
    %z = BatchNormalization(%k, %s, %b, %m, %v) @constant
    output %y output %z)");
  DrawnSamples data(model, 8);
  const PassResult result = reestimate(model, data);
  CHECK(result.changes == 0);
  CHECK(remarks_of(result) ==
        "norm: its input is not finite over the samples\n");
  ir::Model none =
      test::text_model("input %x: float[n,2] %y = Relu(%x) output %y");
  CHECK(reestimate(none, data).changes == 0);
}

TEST_CASE("reestimate_batch_norm: what it needs") {
  ir::Model model = test::text_model(two_norms("output %y"));
  PassContext context;
  CHECK_THROWS_WITH_AS(
      prune::make_reestimate_batch_norm()->run(model, context),
      "reestimate_batch_norm: it needs samples, but none are given (give data)",
      Error);
  DrawnSamples none(model, 0);
  CHECK_THROWS_WITH_AS(reestimate(model, none),
                       "drawn samples: the data has no samples", Error);
}

}  // namespace
}  // namespace lathe
