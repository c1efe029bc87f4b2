#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "calibration/ranges/histogram.h"
#include "passes/base/random.h"

namespace lathe::ranges {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<uint64_t> list(std::span<const uint64_t> bins) {
  return {bins.begin(), bins.end()};
}

bool same(const Histogram& a, const Histogram& b) {
  return a.bin_width() == b.bin_width() && a.zeros() == b.zeros() &&
         a.range().min == b.range().min && a.range().max == b.range().max &&
         a.range().not_finite == b.range().not_finite &&
         list(a.positive()) == list(b.positive()) &&
         list(a.negative()) == list(b.negative());
}

// Elements of many magnitudes, some odd ones among them.
std::vector<float> mixed(Random& random, size_t count, int round) {
  std::vector<float> values(count);
  for (float& value : values) {
    value = static_cast<float>(random.normal() *
                               std::exp(random.normal() * (round % 4)));
    if (round % 3 == 1) value = std::fabs(value);
    if (random.below(10) == 0) value = random.below(2) ? 0.0f : -0.0f;
    if (round % 5 == 4 && random.below(20) == 0)
      value = random.below(3) == 0 ? kNan : random.below(2) ? kInf : -kInf;
  }
  return values;
}

TEST_CASE("the histogram's counts are those of a plain loop") {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    CAPTURE(round);
    const std::vector<float> values = mixed(random, random.below(3000), round);
    Histogram histogram;
    const FiniteRange added = histogram.add(values);
    std::vector<uint64_t> positive, negative;
    uint64_t zeros = 0, odd = 0;
    for (float value : values) {
      if (!std::isfinite(value)) {
        ++odd;
      } else if (value == 0) {
        ++zeros;
      } else {
        auto& side = value < 0 ? negative : positive;
        const auto bin = static_cast<size_t>(std::fabs(double{value}) /
                                             histogram.bin_width());
        if (side.size() <= bin) side.resize(bin + 1);
        ++side[bin];
      }
    }
    CHECK(list(histogram.positive()) == positive);
    CHECK(list(histogram.negative()) == negative);
    CHECK(histogram.zeros() == zeros);
    CHECK(histogram.range().not_finite == odd);
    CHECK(added.not_finite == odd);
    CHECK(histogram.count() == values.size() - odd);
    const size_t used = std::max(positive.size(), negative.size());
    CHECK(used <= size_t{Histogram::kBins});
    if (used > 0) CHECK(used > size_t{Histogram::kBins / 2});
  }
}

TEST_CASE("every instruction set counts the same") {
  Random random(4);
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    std::vector<float> values = mixed(random, random.below(2000), round);
    if (round % 2) values.insert(values.end(), {0.0f, -0.0f, kNan});
    // Some fit and some do not.
    const float per_width = std::ldexp(1.0f, static_cast<int>(round % 16));
    std::vector<uint64_t> expected(BinLayout::kCounters);
    Extremes extremes;
    for (const float value : values) {
      const double bin = std::floor(std::fabs(double{value}) * per_width);
      const bool fits = bin < BinLayout::kBins;
      ++expected[value == 0 ? BinLayout::kZeros
                            : (fits ? static_cast<size_t>(bin)
                                    : size_t{BinLayout::kBins}) +
                                  (value < 0 ? BinLayout::kNegative : 0)];
      if (value < extremes.min) extremes.min = value;
      if (value > extremes.max) extremes.max = value;
    }
    for (const CountBins count : bin_counters()) {
      std::vector<uint64_t> counters(BinLayout::kCounters);
      const Extremes found = count(values, per_width, counters.data());
      CHECK(found.min == extremes.min);
      CHECK(found.max == extremes.max);
      for (size_t lane = 1; lane < BinLayout::kLanes; ++lane)
        counters[BinLayout::kZeros] +=
            std::exchange(counters[BinLayout::kZeros + lane], 0);
      CHECK(counters == expected);
    }
  }
}

TEST_CASE("neither the order nor the portions change a histogram") {
  Random random(2);
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    std::vector<float> values = mixed(random, 5000, round);
    Histogram whole;
    whole.add(values);
    random.shuffle(values);
    Histogram parts;
    for (size_t at = 0; at < values.size();) {
      const size_t count =
          std::min<size_t>(values.size() - at, 1 + random.below(700));
      parts.add(std::span(values).subspan(at, count));
      at += count;
    }
    CHECK(same(whole, parts));
    Histogram rising;
    std::sort(values.begin(), values.end(), [](float a, float b) {
      return (std::isfinite(a) ? std::fabs(a) : 0) <
             (std::isfinite(b) ? std::fabs(b) : 0);
    });
    for (const float& value : values) rising.add({&value, 1});
    CHECK(same(whole, rising));
  }
}

TEST_CASE("a long tensor is one histogram") {
  Random random(3);
  std::vector<float> values(200000);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(random.normal()) *
                (1 + static_cast<float>(i) / 1000);
  Histogram histogram, parts;
  const FiniteRange added = histogram.add(values);
  for (size_t at = 0; at < values.size(); at += 1000)
    parts.add(std::span(values).subspan(at, 1000));
  CHECK(same(histogram, parts));
  CHECK(added.min == histogram.range().min);
  CHECK(added.max == histogram.range().max);
}

TEST_CASE("magnitudes at the ends of float") {
  constexpr float kLeast = std::numeric_limits<float>::denorm_min();
  constexpr float kMost = std::numeric_limits<float>::max();
  Histogram tiny;
  tiny.add(std::vector<float>{kLeast, -kLeast, 0});
  CHECK(list(tiny.positive()) == std::vector<uint64_t>{1});
  CHECK(list(tiny.negative()) == std::vector<uint64_t>{1});
  CHECK(tiny.zeros() == 1);
  tiny.add(std::vector<float>{kMost});
  CHECK(tiny.positive()[0] == 1);
  CHECK(tiny.positive().size() == size_t{Histogram::kBins});
  CHECK(tiny.positive().back() == 1);
  CHECK(tiny.count() == 4);
  Histogram empty;
  empty.add({});
  empty.add(std::vector<float>{kNan, kInf});
  CHECK(empty.count() == 0);
  CHECK(empty.positive().empty());
  CHECK(empty.range().not_finite == 2);
}

}  // namespace
}  // namespace lathe::ranges
