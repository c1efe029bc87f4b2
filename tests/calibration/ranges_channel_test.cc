#include <cmath>

#include "calibration/ranges/channel_extremes.h"
#include "tests/calibration/fixtures.h"

namespace lathe::ranges {
namespace {

using test::error_of;

TEST_CASE("channel extremes agree with a plain loop") {
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    CAPTURE(round);
    const auto draw = [&](uint64_t most) {
      return static_cast<int64_t>(1 + random.below(most));
    };
    // Wide and flat ones, channels last and not.
    const int64_t outer = draw(20), channels = draw(60),
                  inner = round % 2 ? 1 : draw(70);
    std::vector<float> values(static_cast<size_t>(outer * channels * inner));
    for (float& value : values) {
      value = static_cast<float>(random.normal());
      if (round % 3 == 0 && random.below(8) == 0)
        value = random.below(2) ? NAN : random.below(2) ? INFINITY : -INFINITY;
    }
    std::vector<FiniteRange> expected(static_cast<size_t>(channels));
    for (size_t i = 0; i < values.size(); ++i)
      expected[i / static_cast<size_t>(inner) % static_cast<size_t>(channels)]
          .widen(finite_range(std::span(values).subspan(i, 1)));
    const std::vector<int64_t> dims = {outer, channels, inner};
    const auto found = channel_extremes("v", values, dims, round % 4 ? 1 : -2);
    REQUIRE(found.size() == expected.size());
    for (size_t c = 0; c < found.size(); ++c) {
      CHECK(found[c].min == expected[c].min);
      CHECK(found[c].max == expected[c].max);
      CHECK(found[c].any_element);
      CHECK(found[c].not_finite == expected[c].not_finite);
    }
  }
}

TEST_CASE("empty tensors, scalars, and numbers of channels that vary") {
  const std::vector<int64_t> empty = {0, 3};
  const auto none = channel_extremes("v", {}, empty, 1);
  CHECK(none.size() == 3);
  CHECK_FALSE(none[0].any_element);
  const std::vector<float> one = {1};
  CHECK(error_of([&] { channel_extremes("v", one, {}, 0); }) ==
        "input: value 'v': it has rank 0 and so no axis 0");
  std::vector<FiniteRange> all;
  widen_channels("v", {}, all);
  CHECK(all.empty());
  const std::vector<int64_t> dims = {1, 1};
  widen_channels("v", channel_extremes("v", one, dims, 1), all);
  CHECK(all.size() == 1);
  CHECK(error_of([&] { widen_channels("v", none, all); }) ==
        "input: value 'v': it has 1 channels for one sample and 3 for "
        "another; their number must not vary");
}

}  // namespace
}  // namespace lathe::ranges
