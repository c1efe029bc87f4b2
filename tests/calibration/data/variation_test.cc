#include "calibration/data/variation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

namespace lathe::test {
namespace {

using data::Extent;
using data::Region;

bool inside(const Region& region, const Extent& image) {
  return region.x >= 0 && region.y >= 0 && region.width > 0 &&
         region.height > 0 && region.x + region.width <= image.width &&
         region.y + region.height <= image.height;
}

double area(const Region& region) {
  return static_cast<double>(region.width) * static_cast<double>(region.height);
}

TEST_CASE("variation: of two, the stronger of each") {
  const Augmentation one{.flip = true, .shift = 2, .crop = 0.5, .erase = 0};
  const Augmentation other{.flip = false, .shift = 4, .crop = 1, .erase = 0.25};
  const Augmentation expected{
      .flip = true, .shift = 4, .crop = 0.5, .erase = 0.25};
  CHECK(data::both(one, other) == expected);
  CHECK(data::both(other, one) == expected);
}

TEST_CASE("variation: crops have the area, the aspect and the place drawn") {
  const Extent image{400, 300}, result{224, 224};
  double shares = 0, logs = 0, places = 0;
  double least = 1, most = 0;
  constexpr int kSeeds = 2000;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Region region = data::crop_region(image, result, 0.25, seed);
    REQUIRE(inside(region, image));
    const double share = area(region) / (400 * 300);
    const double aspect =
        static_cast<double>(region.width) / static_cast<double>(region.height);
    CHECK(aspect > 0.75 * 0.98);
    CHECK(aspect < 4.0 / 3 * 1.02);
    least = std::min(least, share);
    most = std::max(most, share);
    shares += share;
    logs += std::log(aspect);
    if (region.width < 400)
      places += static_cast<double>(region.x) /
                static_cast<double>(400 - region.width);
    else
      places += 0.5;
  }
  CHECK(least > 0.249);
  CHECK(least < 0.26);
  CHECK(most > 0.9);
  // Shares near one fit at few aspects, and are drawn again.
  CHECK(shares / kSeeds > 0.5);
  CHECK(shares / kSeeds < 0.65);
  CHECK(std::abs(logs / kSeeds) < 0.05);
  CHECK(std::abs(places / kSeeds - 0.5) < 0.03);
}

TEST_CASE("variation: a crop follows the result's aspect") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const Region region =
        data::crop_region({1000, 1000}, {400, 100}, 0.01, seed);
    const double aspect =
        static_cast<double>(region.width) / static_cast<double>(region.height);
    CHECK(aspect > 3 * 0.98);
    CHECK(aspect < 16.0 / 3 * 1.02);
  }
}

TEST_CASE("variation: a crop that does not fit is the centre") {
  // At least 95% of an image ten times as wide as high is never a square.
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Region wide = data::crop_region({300, 30}, {8, 8}, 0.95, seed);
    CHECK(wide.width == 40);
    CHECK(wide.height == 30);
    CHECK(wide.x == 130);
    CHECK(wide.y == 0);
    const Region high = data::crop_region({30, 300}, {8, 8}, 0.95, seed);
    CHECK(high.width == 30);
    CHECK(high.height == 40);
    CHECK(high.x == 0);
    CHECK(high.y == 130);
  }
  const Region pixel = data::crop_region({1, 1}, {224, 224}, 0.08, 3);
  CHECK(inside(pixel, {1, 1}));
  const Region line = data::crop_region({1000, 1}, {1, 1000}, 0.9, 3);
  CHECK(line.width == 1);
  CHECK(line.height == 1);
}

TEST_CASE("variation: what is erased") {
  const Extent image{64, 64};
  int erased = 0;
  double least = 1, most = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const auto region = data::erased_region(image, 0.25, seed);
    if (!region) continue;
    ++erased;
    REQUIRE(inside(*region, image));
    const double share = area(*region) / (64 * 64);
    least = std::min(least, share);
    most = std::max(most, share);
    const double aspect = static_cast<double>(region->width) /
                          static_cast<double>(region->height);
    CHECK(aspect > 0.25);
    CHECK(aspect < 4);
  }
  // 500 expected, with a standard deviation of 19.
  CHECK(erased > 400);
  CHECK(erased < 600);
  CHECK(least > 0.018);
  CHECK(least < 0.04);
  CHECK(most < 0.34);
  CHECK(most > 0.3);
  for (uint64_t seed = 0; seed < 50; ++seed) {
    CHECK_FALSE(data::erased_region(image, 0, seed));
    CHECK(data::erased_region(image, 1, seed));
    const auto least = data::erased_region({1, 1}, 1, seed);
    CHECK((!least || inside(*least, {1, 1})));
  }
}

}  // namespace
}  // namespace lathe::test
