#include "calibration/latency/estimator/validation.h"

#include <doctest/doctest.h>

namespace lathe::latency {
namespace {

ValidationRow row(double estimate_us, std::initializer_list<double> passes) {
  ValidationRow result;
  result.estimate = {.p5_us = 0.9 * estimate_us,
                     .p50_us = estimate_us,
                     .p95_us = 1.1 * estimate_us};
  for (double pass : passes) result.passes.push_back({pass, /*noisy=*/false});
  return result;
}

TEST_CASE("the median of the quiet passes counts, else the fastest") {
  ValidationRow r = row(100, {});
  r.passes = {{120, /*noisy=*/true}, {110, /*noisy=*/true}};
  CHECK(r.noisy());
  CHECK(r.measured_us() == 110);
  r.passes.push_back({130, /*noisy=*/false});
  CHECK_FALSE(r.noisy());
  CHECK(r.measured_us() == 130);
  r.passes.push_back({126, /*noisy=*/false});
  CHECK(r.measured_us() == 128);
  // A machine that was busy all through two passes.
  r.passes.push_back({100, /*noisy=*/false});
  CHECK(r.measured_us() == 100);
  CHECK(r.error() == 0);
  CHECK(r.repeat_error() == doctest::Approx(110.0 / 120 - 1));
}

TEST_CASE("errors, coverage and the noise floor") {
  const std::vector<ValidationRow> rows = {
      row(104, {99, 101}), row(80, {100, 100}), row(5000, {4000, 4000})};
  ValidationError all = summarize_errors(rows);
  CHECK(all.networks == 3);
  CHECK(all.mape == doctest::Approx((0.04 + 0.2 + 0.25) / 3));
  CHECK(all.within_5 == doctest::Approx(1.0 / 3));
  CHECK(all.within_10 == doctest::Approx(1.0 / 3));
  CHECK(all.coverage == doctest::Approx(1.0 / 3));
  ValidationError large = summarize_errors(
      rows, [](const ValidationRow& r) { return r.measured_us() > 3000; });
  CHECK(large.networks == 1);
  CHECK(large.mape == doctest::Approx(0.25));
  CHECK(noise_floor(rows).mape == doctest::Approx((2.0 / 99) / 3));
  CHECK(summarize_errors({}).networks == 0);
}

TEST_CASE("rank correlation, with ties at their mean rank") {
  CHECK(spearman(std::vector<double>{1, 2, 3, 4},
                 std::vector<double>{10, 20, 40, 80}) == doctest::Approx(1));
  CHECK(spearman(std::vector<double>{1, 2, 3}, std::vector<double>{3, 2, 1}) ==
        doctest::Approx(-1));
  CHECK(spearman(std::vector<double>{1, 2, 2, 3},
                 std::vector<double>{1, 2, 3, 4}) ==
        doctest::Approx(0.9486833));
  CHECK(spearman(std::vector<double>{1}, std::vector<double>{1}) == 0);
}

}  // namespace
}  // namespace lathe::latency
