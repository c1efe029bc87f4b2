#include "passes/quantize/block_codes.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/passes/quantize/drawn.h"

namespace lathe::quantize::test {
namespace {

double squared_error(const BlockCodes& codes,
                     const std::vector<float>& weights) {
  const std::vector<float> found = codes.dequantized();
  REQUIRE(found.size() == weights.size());
  double error = 0;
  for (size_t i = 0; i < found.size(); ++i)
    error += std::pow(found[i] - weights[i], 2);
  return error;
}

TEST_CASE("block codes: the largest weight gets the lowest code") {
  // One column, two blocks of 16 rows, the second incomplete.
  std::vector<float> weights(18, 0.0f);
  weights[0] = 0.8f;
  weights[1] = -0.7f;
  weights[16] = -1.6f;
  weights[17] = 0.4f;
  const BlockCodes codes = round_to_nearest(
      weights, 18, 1, {.block_size = 16, .search_scale = false}, 1);
  REQUIRE(codes.blocks == 2);
  CHECK(codes.scales[0] == doctest::Approx(-0.1));
  CHECK(codes.scales[1] == doctest::Approx(0.2));
  CHECK(codes.zero_points == std::vector<uint8_t>{8, 8});
  CHECK(codes.codes[0] == 0);
  CHECK(codes.codes[1] == 15);
  CHECK(codes.codes[2] == 8);
  CHECK(codes.codes[16] == 0);
  CHECK(codes.codes[17] == 10);
  CHECK(codes.dequantized()[1] == doctest::Approx(-0.7));
}

TEST_CASE("block codes: zero is a code of its own block") {
  const std::vector<float> weights = {0, 1.5f, 0.4f, -1.5f, 1, 0};
  const BlockCodes codes = round_to_nearest(
      weights, 3, 2,
      {.block_size = 16, .symmetric = false, .search_scale = false}, 1);
  // Column 0: 0 … 1; column 1: -1.5 … 1.5.
  CHECK(codes.scales[0] == doctest::Approx(1 / 15.0));
  CHECK(codes.scales[1] == doctest::Approx(0.2));
  CHECK(codes.zero_points == std::vector<uint8_t>{0, 8});
  CHECK(codes.codes == std::vector<uint8_t>{0, 15, 6, 0, 15, 8});
  CHECK(codes.dequantized()[0] == 0);
}

TEST_CASE("block codes: blocks of zeros and of tiny weights stay finite") {
  for (const bool symmetric : {true, false})
    for (const float value : {0.0f, 1e-40f}) {
      const std::vector<float> weights(32, value);
      const BlockCodes codes = round_to_nearest(
          weights, 16, 2, {.block_size = 16, .symmetric = symmetric}, 1);
      CHECK(codes.scales == std::vector<float>(2, 1 / 15.0f));
      CHECK(squared_error(codes, weights) <= 1e-70);
    }
}

TEST_CASE("block codes: errors stay within half a step") {
  const std::vector<float> weights = drawn(100 * 7, 1);
  for (const int bits : {4, 8})
    for (const int64_t size : {16, 64, 128}) {
      const BlockCodes codes = round_to_nearest(weights, 100, 7,
                                                {.bits = bits,
                                                 .block_size = size,
                                                 .symmetric = false,
                                                 .search_scale = false},
                                                2);
      const std::vector<float> found = codes.dequantized();
      for (int64_t i = 0; i < 700; ++i) {
        const float step = codes.scales[i / 7 / size * 7 + i % 7];
        // The zero point is rounded as well.
        CHECK(std::fabs(found[i] - weights[i]) <= 1.001f * step);
      }
    }
}

TEST_CASE("block codes: searched scales lose less") {
  const std::vector<float> weights = drawn(256 * 16, 2);
  for (const bool symmetric : {true, false})
    for (const int64_t size : {32, 128}) {
      BlockFormat format{
          .block_size = size, .symmetric = symmetric, .search_scale = false};
      const double plain =
          squared_error(round_to_nearest(weights, 256, 16, format, 1), weights);
      format.search_scale = true;
      const BlockCodes searched = round_to_nearest(weights, 256, 16, format, 1);
      CHECK(squared_error(searched, weights) < 0.95 * plain);
      CHECK(round_to_nearest(weights, 256, 16, format, 3).codes ==
            searched.codes);
    }
}

TEST_CASE("block codes: importance moves the scale") {
  // Clipping the outlier pays only where it does not count.
  std::vector<float> weights = {0.10f, -0.11f, 0.09f, 0.12f, 1.0f};
  std::vector<float> importance = {1, 1, 1, 1, 0};
  BlockCodes codes({.block_size = 16}, 5, 1);
  choose_scales({weights.data(), 1, 5, 0, 1}, 0, codes);
  const float plain = std::fabs(codes.scales[0]);
  choose_scales({weights.data(), 1, 5, 0, 1, importance.data()}, 0, codes);
  CHECK(std::fabs(codes.scales[0]) < plain);
}

}  // namespace
}  // namespace lathe::quantize::test
