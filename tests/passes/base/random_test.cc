#include "passes/base/random.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace lathe {
namespace {

TEST_CASE("a seed gives the same numbers everywhere") {
  // Worked out from the published definitions of both generators.
  Random random(0);
  CHECK(random.next() == 11091344671253066420u);
  CHECK(random.next() == 13793997310169335082u);
  CHECK(random.next() == 1900383378846508768u);
  Random a(42), b(42), c(43);
  for (int i = 0; i < 100; ++i) CHECK(a.next() == b.next());
  CHECK(a.next() != c.next());
}

TEST_CASE("named uses of a seed are independent") {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 100; ++seed)
    for (const char* use : {"", "split", "shuffle", "noise"})
      seen.insert(derive_seed(seed, use));
  CHECK(seen.size() == 400);
  CHECK(derive_seed(7, "split") == derive_seed(7, "split"));
}

TEST_CASE("below covers its range evenly") {
  Random random(3);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts.at(random.below(7));
  for (const int count : counts) CHECK(std::abs(count - 10000) < 500);
  CHECK(random.below(1) == 0);
}

TEST_CASE("uniform and normal have their moments") {
  Random random(4);
  double sum = 0, normal_sum = 0, normal_squares = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double u = random.uniform();
    REQUIRE(u >= 0);
    REQUIRE(u < 1);
    sum += u;
    const double n = random.normal();
    normal_sum += n;
    normal_squares += n * n;
  }
  CHECK(sum / kCount == doctest::Approx(0.5).epsilon(0.01));
  CHECK(std::abs(normal_sum / kCount) < 0.02);
  CHECK(normal_squares / kCount == doctest::Approx(1).epsilon(0.02));
  const double between = random.uniform(-3, -2);
  CHECK(between >= -3);
  CHECK(between < -2);
}

TEST_CASE("shuffle permutes, and the same way for the same seed") {
  std::vector<int> items(100);
  std::iota(items.begin(), items.end(), 0);
  auto first = items, second = items;
  Random(5).shuffle(first);
  Random(5).shuffle(second);
  CHECK(first == second);
  CHECK(first != items);
  std::sort(first.begin(), first.end());
  CHECK(first == items);
}

}  // namespace
}  // namespace lathe
