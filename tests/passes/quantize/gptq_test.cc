#include "passes/quantize/gptq.h"

#include <doctest/doctest.h>

#include <cmath>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "tests/passes/quantize/drawn.h"

namespace lathe::quantize::test {
namespace {

// X^T X of `rows` rows whose features share a few causes, as activations do;
// features in `dead` are always 0.
exec::GramMatrix correlated(int64_t size, int64_t rows,
                            const std::vector<int64_t>& dead = {}) {
  constexpr int64_t kCauses = 5;
  Random random(7);
  const std::vector<float> mix = drawn(kCauses * size, 8);
  exec::GramMatrix gram;
  gram.size = size;
  gram.rows = rows;
  gram.sums.assign(static_cast<size_t>(size * size), 0);
  std::vector<double> x(static_cast<size_t>(size));
  for (int64_t row = 0; row < rows; ++row) {
    double cause[kCauses];
    for (double& value : cause) value = random.normal();
    for (int64_t i = 0; i < size; ++i) {
      x[i] = 0.3 * random.normal();
      for (int64_t k = 0; k < kCauses; ++k)
        x[i] += cause[k] * mix[k * size + i];
    }
    for (const int64_t i : dead) x[i] = 0;
    for (int64_t i = 0; i < size; ++i)
      for (int64_t j = 0; j < size; ++j)
        gram.sums[i * size + j] += static_cast<float>(x[i] * x[j]);
  }
  return gram;
}

// tr(E^T G E): the squared error of the layer's output.
double output_error(const BlockCodes& codes, const std::vector<float>& weights,
                    const exec::GramMatrix& gram) {
  const std::vector<float> found = codes.dequantized();
  double error = 0;
  for (int64_t c = 0; c < codes.columns; ++c)
    for (int64_t i = 0; i < gram.size; ++i)
      for (int64_t j = 0; j < gram.size; ++j) {
        const int64_t a = i * codes.columns + c, b = j * codes.columns + c;
        error += double{found[a] - weights[a]} * gram.sums[i * gram.size + j] *
                 double{found[b] - weights[b]};
      }
  return error;
}

TEST_CASE("gptq: the output's error falls well below rounding to nearest") {
  constexpr int64_t kDepth = 200, kColumns = 70;  // more than one slice
  const std::vector<float> weights = drawn(kDepth * kColumns, 3);
  const exec::GramMatrix gram = correlated(kDepth, 600);
  for (const int64_t size : {16, 32, 128, 256})
    for (const bool symmetric : {true, false})
      for (const bool act_order : {true, false}) {
        CAPTURE(size);
        CAPTURE(symmetric);
        CAPTURE(act_order);
        const BlockFormat format{.block_size = size, .symmetric = symmetric};
        const double nearest =
            output_error(round_to_nearest(weights, kDepth, kColumns, format, 1),
                         weights, gram);
        const BlockCodes codes = gptq(weights, kDepth, kColumns, format, gram,
                                      {.act_order = act_order, .jobs = 1});
        CHECK(output_error(codes, weights, gram) < 0.4 * nearest);
        CHECK(gptq(weights, kDepth, kColumns, format, gram,
                   {.act_order = act_order, .jobs = 3})
                  .codes == codes.codes);
      }
}

TEST_CASE("gptq: inputs that do not go together leave rounding as it is") {
  const std::vector<float> weights = drawn(48 * 5, 4);
  exec::GramMatrix gram{48, 48, std::vector<float>(48 * 48, 0)};
  for (int64_t i = 0; i < 48; ++i) gram.sums[i * 48 + i] = 2;
  const BlockFormat format{.block_size = 16};
  const BlockCodes nearest = round_to_nearest(weights, 48, 5, format, 1);
  for (const bool act_order : {true, false}) {
    const BlockCodes codes =
        gptq(weights, 48, 5, format, gram, {.act_order = act_order});
    CHECK(codes.codes == nearest.codes);
    CHECK(codes.scales == nearest.scales);
  }
}

TEST_CASE("gptq: features that never were are rounded to nearest") {
  const std::vector<float> weights = drawn(32 * 4, 5);
  const BlockFormat format{.block_size = 16, .search_scale = false};
  const BlockCodes nearest = round_to_nearest(weights, 32, 4, format, 1);
  // All of the second block.
  std::vector<int64_t> dead;
  for (int64_t i = 16; i < 32; ++i) dead.push_back(i);
  const BlockCodes part =
      gptq(weights, 32, 4, format, correlated(32, 200, dead), {});
  for (int64_t i = 16 * 4; i < 32 * 4; ++i)
    CHECK(part.codes[i] == nearest.codes[i]);
  CHECK(part.codes != nearest.codes);
  const exec::GramMatrix nothing{32, 9, std::vector<float>(32 * 32, 0)};
  CHECK(gptq(weights, 32, 4, format, nothing, {}).codes == nearest.codes);
}

TEST_CASE("gptq: fewer samples than features, and none but one") {
  const std::vector<float> weights = drawn(64 * 4, 6);
  const BlockFormat format{.block_size = 32};
  for (const int64_t rows : {1, 10}) {
    const exec::GramMatrix gram = correlated(64, rows);
    const BlockCodes codes = gptq(weights, 64, 4, format, gram, {});
    const double nearest = output_error(
        round_to_nearest(weights, 64, 4, format, 1), weights, gram);
    CHECK(output_error(codes, weights, gram) < nearest);
    for (const float value : codes.dequantized()) CHECK(std::isfinite(value));
  }
}

TEST_CASE("gptq: sizes must agree") {
  const exec::GramMatrix gram{2, 1, {1, 0, 0, 1}};
  CHECK_THROWS_WITH_AS(
      gptq(std::vector<float>(3), 3, 1, {}, gram, {}),
      "gptq: sizes of weights and Gram matrix disagree (this is a bug in "
      "Lathe; please report it)",
      Error);
}

}  // namespace
}  // namespace lathe::quantize::test
