#include "passes/affine.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/quantize/parameters.h"
#include "passes/quantize/weights.h"

namespace lathe {
namespace {

constexpr auto kU8 = ir::DataType::kUint8;
constexpr auto kS8 = ir::DataType::kInt8;

TEST_CASE("affine: the range is widened to hold zero") {
  Affine affine = asymmetric_affine({2, 5.1f}, kU8);
  CHECK(affine.scale == doctest::Approx(0.02));
  CHECK(affine.zero_point == 0);
  affine = asymmetric_affine({-5.1f, -2}, kU8);
  CHECK(affine.scale == doctest::Approx(0.02));
  CHECK(affine.zero_point == 255);
  affine = asymmetric_affine({0, 5.1f}, kS8);
  CHECK(affine.zero_point == -128);
}

TEST_CASE("affine: a range of zero width has a scale one can divide by") {
  for (Range range : {Range{0, 0}, Range{0, 1e-44f}, Range{-1e-44f, 0}}) {
    Affine affine = asymmetric_affine(range, kU8);
    CHECK(affine.scale == doctest::Approx(1.0 / 255));
    CHECK(to_code(0, affine, code_range(kU8)) == affine.zero_point);
  }
  CHECK(symmetric_affine(0, kS8).scale == doctest::Approx(1.0 / 255));
}

TEST_CASE("affine: infinite ranges are a bug of the caller") {
  float infinity = std::numeric_limits<float>::infinity();
  CHECK_THROWS_WITH_AS(asymmetric_affine({0, infinity}, kU8),
                       "affine parameters: range is not finite (this is a bug "
                       "in Lathe; please report it)",
                       Error);
  CHECK_THROWS_AS(symmetric_affine(NAN, kS8), Error);
  // The widest finite range does not overflow.
  float most = std::numeric_limits<float>::max();
  CHECK(std::isfinite(asymmetric_affine({-most, most}, kU8).scale));
}

TEST_CASE("affine: symmetric codes leave the lowest one out") {
  Affine affine = symmetric_affine(12.7f, kS8);
  CHECK(affine.scale == doctest::Approx(0.1));
  CHECK(affine.zero_point == 0);
  CHECK(to_code(-12.7f, affine, {-127, 127}) == -127);
  CHECK(symmetric_affine(1, kU8).zero_point == 128);
}

TEST_CASE("affine: zero is exact and errors stay within half a step") {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    float a =
        static_cast<float>(random.normal() * std::exp(random.normal() * 4));
    float b =
        static_cast<float>(random.normal() * std::exp(random.normal() * 4));
    Range range{std::min(a, b), std::max(a, b)};
    for (ir::DataType type : {kU8, kS8}) {
      Affine affine = asymmetric_affine(range, type);
      CodeRange codes = code_range(type);
      CHECK(to_code(0, affine, codes) == affine.zero_point);
      float x = static_cast<float>(random.uniform(range.min, range.max));
      float back = affine.scale * static_cast<float>(to_code(x, affine, codes) -
                                                     affine.zero_point);
      // The rounded zero point may cost the ends another half step.
      CHECK(std::fabs(back - x) <= 1.01f * affine.scale);
    }
  }
}

TEST_CASE("fit_inside: no code lies outside the bounds") {
  Random random(2);
  for (int i = 0; i < 2000; ++i) {
    float low = -static_cast<float>(random.uniform(0, 10));
    float high = static_cast<float>(random.uniform(1e-3, 10));
    if (i % 3 == 0) low = 0;
    for (ir::DataType type : {kU8, kS8}) {
      CodeRange codes = code_range(type);
      Affine before = asymmetric_affine({low, high}, type);
      Affine after = quantize::fit_inside(before, codes, {low, high});
      CHECK(std::abs(after.zero_point - before.zero_point) <= 1);
      CHECK(after.scale * static_cast<float>(codes.low - after.zero_point) >=
            low);
      CHECK(after.scale * static_cast<float>(codes.high - after.zero_point) <=
            high);
      CHECK(after.scale > 0.98f * before.scale);
    }
  }
  // Without a bound above (Relu) nothing changes.
  Affine relu = asymmetric_affine({0, 3}, kU8);
  Affine same = quantize::fit_inside(
      relu, code_range(kU8), {0, std::numeric_limits<float>::infinity()});
  CHECK(same.scale == relu.scale);
}

TEST_CASE("weight_scales: one a channel, along the axis") {
  ir::Tensor weights =
      ir::Tensor::from<float>({2, 3}, std::vector<float>{1, -2, 3, 0, 0, 0});
  auto rows = quantize::weight_scales(weights, 0, nullptr, 1);
  REQUIRE(rows.size() == 2);
  CHECK(rows[0] == doctest::Approx(3.0 / 127));
  CHECK(rows[1] == doctest::Approx(1.0 / 255));  // a dead channel
  auto columns = quantize::weight_scales(weights, 1, nullptr, 1);
  REQUIRE(columns.size() == 3);
  CHECK(columns[1] == doctest::Approx(2.0 / 127));
  auto whole = quantize::weight_scales(weights, std::nullopt, nullptr, 1);
  REQUIRE(whole.size() == 1);
  CHECK(whole[0] == doctest::Approx(3.0 / 127));
}

TEST_CASE("weight_scales: a bias that would overflow raises its channel") {
  ir::Tensor weights =
      ir::Tensor::from<float>({2, 1}, std::vector<float>{1e-6f, 1});
  ir::Tensor bias = ir::Tensor::from<float>({2}, std::vector<float>{100, 100});
  auto scales = quantize::weight_scales(weights, 0, &bias, 1e-3f);
  CHECK(scales[1] == doctest::Approx(1.0 / 127));
  CHECK(100 / (1e-3 * scales[0]) <= doctest::Approx(double{1 << 30}));
  CHECK(100 / (1e-3 * scales[0]) > double{1 << 29});
  // One bias for all channels.
  ir::Tensor single = ir::Tensor::from<float>({1}, std::vector<float>{100});
  CHECK(quantize::weight_scales(weights, 0, &single, 1e-3f) == scales);
}

}  // namespace
}  // namespace lathe
