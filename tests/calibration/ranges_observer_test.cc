#include <cmath>
#include <functional>

#include "calibration/ranges/observer.h"
#include "tests/calibration/fixtures.h"

namespace lathe::ranges {
namespace {

using test::error_of;

// The range that the observer chooses for the elements, seen at once.
Range observe(const std::string& name, const std::vector<float>& values,
              ObserverOptions options = {}) {
  const auto observer = find_observer(name).make();
  const FiniteRange all = observer->see(values);
  observer->follow(all);
  return observer->range(all, options);
}

std::vector<float> drawn(size_t count, uint64_t seed,
                         const std::function<double(Random&)>& draw) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(draw(random));
  return values;
}

double normal(Random& random) { return random.normal(); }
double rectified(Random& random) { return std::max(0.0, random.normal()); }

// Mean squared error of the elements behind the quantizer of a range.
double squared_error(const std::vector<float>& values, Range range,
                     const ObserverOptions& options) {
  const Affine affine =
      affine_of(range, options.activation_type, options.symmetric);
  CodeRange codes = code_range(options.activation_type);
  if (options.symmetric && codes.low < 0) codes.low = -codes.high;
  double sum = 0;
  for (float value : values) {
    const int32_t code = to_code(value, affine, codes);
    const double rest =
        value - double{affine.scale} * (code - affine.zero_point);
    sum += rest * rest;
  }
  return sum / static_cast<double>(values.size());
}

TEST_CASE("the observers by name") {
  CHECK(observer_names() ==
        std::vector<std::string>{"min_max", "moving_average", "percentile",
                                 "entropy", "mse"});
  CHECK(&find_observer("") == &default_observer());
  CHECK(default_observer().name == std::string("percentile"));
  CHECK(error_of([] { find_observer("entrophy"); }) ==
        "usage: observer 'entrophy': there is none of this name; did you mean "
        "'entropy'? (the observers are min_max, moving_average, percentile, "
        "entropy, mse)");
}

TEST_CASE("every observer on elements of one value, of one sign, and zeros") {
  for (const ObserverRow& row : observers()) {
    const std::string name = row.name;
    CAPTURE(name);
    for (bool symmetric : {false, true}) {
      const ObserverOptions options{.symmetric = symmetric};
      Range zero = observe(name, std::vector<float>(100, 0.0f), options);
      CHECK(zero.min == 0);
      CHECK(zero.max == 0);
      Range three = observe(name, {3}, options);
      CHECK(three.max == doctest::Approx(3).epsilon(0.01));
      Range below = observe(name, {-2, -1, -0.5f, 0}, options);
      CHECK(below.min == doctest::Approx(-2).epsilon(0.01));
      CHECK(below.max <= (symmetric ? 2 : 0));
      Range rectify =
          observe(name, drawn(20000, 1, rectified), {.percentile = 99.9});
      CHECK(rectify.min == 0);
      CHECK(rectify.max > 2);
      CHECK(rectify.max < 5);
    }
    Range tiny = observe(name, {1e-44f, -1e-44f});
    CHECK(tiny.min >= -1e-44f);
    CHECK(tiny.max <= 1e-44f);
    Range most = observe(name, {3e38f, -3e38f, 1});
    CHECK(most.min == doctest::Approx(-3e38).epsilon(0.01));
    CHECK(most.max == doctest::Approx(3e38).epsilon(0.01));
  }
}

TEST_CASE("moving_average weighs samples by how late they come") {
  const auto observer = make_moving_average();
  FiniteRange all;
  const auto add = [&](std::vector<float> sample) {
    const FiniteRange seen = observer->see(sample);
    observer->follow(seen);
    all.widen(seen);
  };
  add({-1, 2});
  CHECK(observer->range(all, {}) == Range{-1, 2});
  add({-2, 5});
  // (0.99 * 0.01 * 2 + 0.01 * 5) / (1 - 0.99^2)
  Range range = observer->range(all, {});
  CHECK(range.min == doctest::Approx(-(0.99 * 1 + 2) / 1.99));
  CHECK(range.max == doctest::Approx((0.99 * 2 + 5) / 1.99));
  add({std::nanf("")});
  CHECK(observer->range(all, {}) == range);
  for (int i = 0; i < 3000; ++i) add({-3, 1});
  range = observer->range(all, {});
  CHECK(range.min == doctest::Approx(-3));
  CHECK(range.max == doctest::Approx(1));
}

TEST_CASE("percentile cuts both ends alike") {
  std::vector<float> values;
  for (int i = -5000; i < 15000; ++i)
    values.push_back(static_cast<float>(i) + 0.5f);
  Range range = observe("percentile", values, {.percentile = 90});
  CHECK(range.min == doctest::Approx(-4000).epsilon(0.002));
  CHECK(range.max == doctest::Approx(14000).epsilon(0.002));
  CHECK(observe("percentile", values, {.percentile = 100}) ==
        Range{-4999.5f, 14999.5f});
  // Two of each magnitude up to 5000, then one.
  range = observe("percentile", values, {.percentile = 90, .symmetric = true});
  CHECK(range.min == doctest::Approx(-4999.5));
  CHECK(range.max == doctest::Approx(13000).epsilon(0.002));
  // Half of them zero: 10% of all is 20% of the others.
  values.clear();
  for (int i = 0; i < 10000; ++i) {
    values.push_back(0);
    values.push_back(static_cast<float>(i) + 0.5f);
  }
  range = observe("percentile", values, {.percentile = 80});
  CHECK(range.min == 0);
  CHECK(range.max == doctest::Approx(8000).epsilon(0.002));
  // More than the negative side holds, and then more than the zeros.
  for (int i = 0; i < 100; ++i) values.push_back(-1);
  CHECK(observe("percentile", values, {.percentile = 98}).min == 0);
  values.resize(20000);
  for (float& value : values) value += 2;
  CHECK(observe("percentile", values, {.percentile = 60}).min == 2);
}

TEST_CASE("mse: no range of a dense grid is better by more than a percent") {
  struct Case {
    const char* name;
    std::vector<float> values;
  };
  std::vector<Case> cases = {
      {"normal", drawn(20000, 3, normal)},
      {"rectified", drawn(20000, 4, rectified)},
      {"uniform", drawn(20000, 5, [](Random& r) { return r.uniform(-1, 3); })},
      {"heavy", drawn(20000, 6, [](Random& r) {
         return r.normal() * std::exp(r.normal());
       })}};
  cases.push_back({"outliers", cases[0].values});
  for (int i = 0; i < 3; ++i) cases.back().values.push_back(-60);
  for (ObserverOptions options :
       {ObserverOptions{},
        ObserverOptions{.activation_type = ir::DataType::kInt8},
        ObserverOptions{.activation_type = ir::DataType::kInt8,
        .symmetric = true},
        ObserverOptions{.symmetric = true},
        ObserverOptions{.activation_type = ir::DataType::kUint4}})
    for (const Case& c : cases) {
      CAPTURE(std::string(c.name));
      CAPTURE(std::string(ir::to_string(options.activation_type)));
      CAPTURE(options.symmetric);
      const FiniteRange all = finite_range(c.values);
      double least = std::numeric_limits<double>::infinity();
      for (int low = 0; low <= 24; ++low)
        for (int high = 1; high <= 24; ++high) {
          const Range range{std::min(0.0f, all.min) * low / 24,
                            all.max * high / 24};
          least = std::min(least, squared_error(c.values, range, options));
        }
      const Range chosen = observe("mse", c.values, options);
      CHECK(squared_error(c.values, chosen, options) < 1.01 * least);
    }
}

TEST_CASE("mse clips nothing that 16 bits have codes for") {
  const std::vector<float> values = drawn(20000, 3, normal);
  const FiniteRange all = finite_range(values);
  const Range chosen =
      observe("mse", values, {.activation_type = ir::DataType::kInt16});
  CHECK(chosen.min == doctest::Approx(all.min).epsilon(0.02));
  CHECK(chosen.max == doctest::Approx(all.max).epsilon(0.02));
}

// The divergence in plain loops: of a histogram's positive side, for a
// threshold in bins.
double plain_divergence(std::span<const uint64_t> bins, size_t threshold,
                        size_t levels) {
  std::vector<double> p(bins.begin(),
                        bins.begin() + static_cast<std::ptrdiff_t>(threshold));
  std::vector<double> q = p;
  for (size_t i = threshold; i < bins.size(); ++i)
    p.back() += static_cast<double>(bins[i]);
  for (size_t level = 0; level < levels; ++level) {
    const size_t begin = level * threshold / levels,
                 end = (level + 1) * threshold / levels;
    double sum = 0, filled = 0;
    for (size_t i = begin; i < end; ++i) {
      sum += q[i];
      filled += p[i] > 0;
    }
    for (size_t i = begin; i < end; ++i) q[i] = p[i] > 0 ? sum / filled : 0;
  }
  double p_sum = 0, q_sum = 0, divergence = 0;
  for (size_t i = 0; i < threshold; ++i) {
    p_sum += p[i];
    q_sum += q[i];
  }
  for (size_t i = 0; i < threshold; ++i)
    if (p[i] > 0)
      divergence += p[i] / p_sum * std::log((p[i] / p_sum) / (q[i] / q_sum));
  return divergence;
}

TEST_CASE("entropy: no threshold diverges much less") {
  for (uint64_t seed : {1, 2, 3}) {
    CAPTURE(seed);
    const std::vector<float> values = drawn(100000, seed, [](Random& random) {
      return std::fabs(random.normal() * std::exp(0.5 * random.normal()));
    });
    Histogram histogram;
    histogram.add(values);
    const Range chosen = observe("entropy", values);
    CHECK(chosen.min == histogram.range().min);
    CHECK(chosen.max < histogram.range().max);
    const auto bins = histogram.positive();
    double least = std::numeric_limits<double>::infinity();
    for (size_t threshold = 256; threshold <= bins.size(); ++threshold)
      least = std::min(least, plain_divergence(bins, threshold, 256));
    const auto threshold =
        static_cast<size_t>(std::lround(chosen.max / histogram.bin_width()));
    CHECK(plain_divergence(bins, threshold, 256) < 1.05 * least);
  }
}

TEST_CASE("entropy leaves out an outlier and keeps what is flat") {
  std::vector<float> values = drawn(100000, 1, normal);
  values.push_back(40);
  for (bool symmetric : {false, true}) {
    const Range range = observe("entropy", values, {.symmetric = symmetric});
    CHECK(range.max < 8);
    CHECK(range.max > 2);
    CHECK(range.min < -2);
  }
  const std::vector<float> flat =
      drawn(100000, 1, [](Random& random) { return random.uniform(-1, 1); });
  const Range range = observe("entropy", flat);
  CHECK(range.min < -0.97);
  CHECK(range.max > 0.97);
}

}  // namespace
}  // namespace lathe::ranges
