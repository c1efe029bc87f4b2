#include "recipes/targets.h"

#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "tests/recipes/error_text.h"

namespace lathe::recipes {
namespace {

using test::error_text;

constexpr const char* kForms = "a target is like 5ms, 800us, 0.5x or 200fps";

StageScore measured(double median_us) {
  StageScore score;
  MeasuredLatency latency;
  latency.median_us = median_us;
  latency.p10_us = median_us * 0.9;
  score.measured_latency = latency;
  return score;
}

StageScore estimated(double p50_us, double p95_us) {
  StageScore score;
  score.estimated_latency = LatencyEstimate{p50_us / 2, p50_us, p95_us};
  return score;
}

TEST_CASE("targets: the four forms") {
  CHECK(parse_target("5ms", "").limit_us(1) == doctest::Approx(5000));
  CHECK(parse_target("800us", "").limit_us(1) == doctest::Approx(800));
  CHECK(parse_target("200fps", "").limit_us(1) == doctest::Approx(5000));
  CHECK(parse_target("0.5x", "").limit_us(3000) == doctest::Approx(1500));
  CHECK(parse_target("1.5e1 ms", "").limit_us(1) == doctest::Approx(15000));
  CHECK(parse_target(" 0.5x ", "").text == "0.5x");
}

TEST_CASE("targets: whole messages") {
  const auto message = [](const char* text) {
    return error_text([&] { parse_target(text, "--target-latency"); });
  };
  const std::string tail = std::string("; ") + kForms;
  CHECK(message("fast") ==
        "--target-latency: 'fast' does not start with a number" + tail);
  CHECK(message("") ==
        "--target-latency: '' does not start with a number" + tail);
  CHECK(message("5") == "--target-latency: '5' has no unit" + tail);
  CHECK(message("5s") ==
        "--target-latency: '5s' has the unknown unit 's'" + tail);
  CHECK(message("-5ms") == "--target-latency: '-5ms' is not above zero" + tail);
  CHECK(message("0x") == "--target-latency: '0x' is not above zero" + tail);
  CHECK(message("inf ms") ==
        "--target-latency: 'inf ms' is not above zero" + tail);
  CHECK(message("nanx") == "--target-latency: 'nanx' is not above zero" + tail);
  CHECK(message("1e999ms") ==
        "--target-latency: '1e999ms' does not start with a number" + tail);
}

TEST_CASE("targets: accuracy budgets") {
  CHECK(parse_drop("1%", "") == doctest::Approx(0.01));
  CHECK(parse_drop("0.5 %", "") == doctest::Approx(0.005));
  CHECK(parse_drop("0.02", "") == doctest::Approx(0.02));
  CHECK(parse_drop("0", "") == 0);
  for (const char* bad : {"", "one", "1.5", "-1%", "101%", "1x", "nan"})
    CHECK(error_text([&] { parse_drop(bad, "--max-drop"); }) ==
          "--max-drop: '" + std::string(bad) +
              "' is no accuracy budget; one is like 1% (one percentage point) "
              "or 0.01");
}

TEST_CASE("targets: met by measurement up to 2% above") {
  const StageScore input = measured(1000);
  const Target half = parse_target("0.5x", "");
  CHECK(meets(half, measured(509), input) == Met::kMeasured);
  CHECK(meets(half, measured(511), input) == Met::kNo);
  CHECK(meets(parse_target("1ms", ""), measured(1019), input) ==
        Met::kMeasured);
  CHECK(meets(parse_target("1ms", ""), measured(1021), input) == Met::kNo);
}

TEST_CASE("targets: met by the estimate's p95, without an allowance") {
  const StageScore input = estimated(800, 1000);
  const Target half = parse_target("0.5x", "");
  CHECK(meets(half, estimated(100, 500), input) == Met::kEstimated);
  CHECK(meets(half, estimated(100, 501), input) == Met::kNo);
  // A measurement on one side alone compares nothing.
  CHECK(meets(half, measured(1), input) == Met::kNo);
  CHECK(meets(half, StageScore(), StageScore()) == Met::kNo);
}

TEST_CASE("targets: measurement wins over the estimate") {
  StageScore input = measured(1000), score = measured(900);
  input.estimated_latency = LatencyEstimate{1, 1000, 1000};
  score.estimated_latency = LatencyEstimate{1, 1, 1};
  CHECK(meets(parse_target("0.5x", ""), score, input) == Met::kNo);
}

TEST_CASE("targets: slower means by more than noise") {
  CHECK_FALSE(slower(measured(1019), measured(1000)));
  CHECK(slower(measured(1021), measured(1000)));
  StageScore disturbed = measured(1021);
  disturbed.measured_latency->p10_us = 900;
  CHECK_FALSE(slower(disturbed, measured(1000)));
  CHECK(slower(estimated(11, 12), estimated(10, 20)));
  CHECK_FALSE(slower(StageScore(), StageScore()));
}

TEST_CASE("targets: accuracy drop is top-1, else disagreement") {
  StageScore input, score;
  CHECK(accuracy_drop(score, input) == std::nullopt);
  input.accuracy = Accuracy{};
  score.accuracy = Accuracy{};
  CHECK(accuracy_drop(score, input) == std::nullopt);
  score.accuracy->agreement = 0.75;
  CHECK(*accuracy_drop(score, input) == doctest::Approx(0.25));
  input.accuracy->top1 = 0.9;
  score.accuracy->top1 = 0.88;
  CHECK(*accuracy_drop(score, input) == doctest::Approx(0.02));
}

}  // namespace
}  // namespace lathe::recipes
