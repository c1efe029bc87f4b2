#include "passes/prune/limit_search.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <vector>

namespace lathe {
namespace {

struct Trace {
  std::vector<double> limits, us;  // 0 us: unreachable
};

// From a limit of 2000; what cannot be reached takes 0.
Trace follow(const std::function<double(double)>& takes, double bound_us,
             double close) {
  prune::LimitSearch search(2000, takes(2000), bound_us, close);
  Trace trace;
  while (!search.done()) {
    trace.limits.push_back(search.limit());
    trace.us.push_back(takes(search.limit()));
    if (trace.us.back() > 0)
      search.found(trace.us.back());
    else
      search.unreachable();
  }
  return trace;
}

TEST_CASE("limit search: what the solver prices right needs one solution") {
  const auto trace = follow([](double limit) { return limit; }, 600, 0);
  CHECK(trace.limits.size() == 1);
  CHECK(trace.limits[0] == doctest::Approx(600));
  CHECK(follow([](double limit) { return 0.97 * limit; }, 600, 0).us.back() <=
        600);
}

TEST_CASE("limit search: what the solver prices a little too low") {
  const auto trace =
      follow([](double limit) { return 1.05 * limit + 3; }, 600, 0);
  CHECK(trace.limits.size() == 2);
  CHECK(trace.us.back() <= 600);
  CHECK(trace.us.back() > 0.97 * 600);
}

// int8 ResNet-56 falls from 902 to 685 us where float falls to 0.4 times.
TEST_CASE("limit search: a form that falls slowly is followed to the bound") {
  for (const double power : {0.3, 0.6, 1.2}) {
    CAPTURE(power);
    const auto takes = [&](double limit) {
      return 902 * std::pow(limit / 2000, power);
    };
    const auto trace = follow(takes, 685, 0.97);
    CHECK(trace.limits.size() <= 5);
    CHECK(trace.us.back() <= 685);
    CHECK(trace.us.back() >= 0.97 * 685);
  }
}

TEST_CASE("limit search: a step across the bound ends the search") {
  const auto trace =
      follow([](double limit) { return limit < 900 ? 400 : 800; }, 685, 0.97);
  CHECK(trace.limits.size() <= 8);
  bool within = false;
  for (const double us : trace.us) within = within || us == 400;
  CHECK(within);
}

TEST_CASE("limit search: a bound that no widths reach") {
  const auto trace =
      follow([](double limit) { return limit < 700 ? 0 : 500 + limit / 10; },
             560, 0.97);
  CHECK(trace.limits.size() <= 8);
  double least = 1e9;
  for (const double us : trace.us) {
    CHECK((us == 0 || us > 560));
    if (us > 0) least = std::min(least, us);
  }
  // 570 us is the least.
  CHECK(least < 585);
}

}  // namespace
}  // namespace lathe
