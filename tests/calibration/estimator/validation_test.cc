#include "calibration/latency/estimator/validation.h"

#include <doctest/doctest.h>

namespace lathe::latency {
namespace {

ValidationRow row(double estimate_us, std::initializer_list<double> passes) {
  ValidationRow result;
  result.estimate = {.p5_us = 0.9 * estimate_us,
                     .p50_us = estimate_us,
                     .p95_us = 1.1 * estimate_us};
  for (double pass : passes) result.add_pass(pass, /*noisy_pass=*/false);
  return result;
}

TEST_CASE("the fastest pass counts, and says whether it was quiet") {
  ValidationRow r = row(100, {});
  r.add_pass(120, /*noisy_pass=*/false);
  CHECK_FALSE(r.noisy);
  r.add_pass(100, /*noisy_pass=*/true);
  CHECK(r.noisy);
  r.add_pass(150, /*noisy_pass=*/false);
  CHECK(r.noisy);
  CHECK(r.passes_us == std::vector<double>{100, 120, 150});
  CHECK(r.measured_us() == 100);
  CHECK(r.repeated_us() == 120);
  CHECK(r.error() == 0);
}

TEST_CASE("errors, coverage and the noise floor") {
  const std::vector<ValidationRow> rows = {
      row(104, {100, 102}), row(80, {100, 101}), row(5000, {4000, 4400})};
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
  CHECK(noise_floor(rows).mape == doctest::Approx((0.02 + 0.01 + 0.1) / 3));
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
