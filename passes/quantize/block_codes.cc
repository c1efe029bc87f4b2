// Scales of blocks, and rounding to nearest.
//
//   symmetric    scale = -e / 2^(bits - 1), e the weight of largest magnitude:
//                it gets the lowest code, and all codes are used
//   asymmetric   scale = (max - min) / (2^bits - 1) over the range widened to
//                hold 0, zero point = round(-min / scale)
//
// With search_scale, those times each of kFactors are tried and the one of the
// least squared error is taken, the first of equals. ONNX Runtime's
// MatMulNBits multiplies by whatever scale it is given, negative ones as well.
#include "passes/quantize/block_codes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "passes/affine.h"
#include "passes/base/jobs.h"

namespace lathe::quantize {
namespace {

constexpr int64_t kSliceColumns = 64;

// Above 1: the weight that is largest on the other side is clipped less.
constexpr std::array kFactors = {1.0f,   1.0625f, 1.125f, 0.9375f,
                                 0.875f, 0.8125f, 0.75f,  0.6875f};

Affine usable(double scale, double zero, const BlockFormat& format) {
  constexpr double kSmallest = std::numeric_limits<float>::min();
  if (!(std::fabs(scale) >= kSmallest))
    return {1.0f / static_cast<float>(format.high()), format.middle()};
  return {static_cast<float>(scale),
          static_cast<int32_t>(std::clamp<double>(zero, 0, format.high()))};
}

struct Extremes {
  float low = 0, high = 0;
};

Affine scaled(const Extremes& seen, float factor, const BlockFormat& format) {
  if (format.symmetric) {
    const double extreme = -seen.low >= seen.high ? seen.low : seen.high;
    return usable(-extreme * factor / format.middle(), format.middle(), format);
  }
  const double low = seen.low * factor, high = seen.high * factor;
  const double scale = (high - low) / format.high();
  return usable(scale, std::nearbyint(-low / scale), format);
}

}  // namespace

BlockCodes::BlockCodes(const BlockFormat& given, int64_t rows, int64_t width)
    : format(given),
      depth(rows),
      columns(width),
      blocks((rows + given.block_size - 1) / given.block_size),
      codes(static_cast<size_t>(rows * width)),
      scales(static_cast<size_t>(blocks * width)),
      zero_points(static_cast<size_t>(blocks * width)) {}

std::vector<float> BlockCodes::dequantized() const {
  std::vector<float> result(codes.size());
  for (int64_t row = 0; row < depth; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      const int64_t i = row * columns + column;
      const int64_t p = row / format.block_size * columns + column;
      result[i] = scales[p] * static_cast<float>(codes[i] - zero_points[p]);
    }
  return result;
}

std::vector<float> transposed_values(std::span<const float> values,
                                     int64_t rows, int64_t columns) {
  std::vector<float> result(values.size());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      result[column * rows + row] = values[row * columns + column];
  return result;
}

void choose_scales(const ColumnSlice& slice, int64_t block,
                   BlockCodes& result) {
  const BlockFormat& format = result.format;
  const CodeRange range{0, format.high()};
  for (int64_t column = slice.begin; column < slice.end; ++column) {
    const float* first = slice.first + column;
    Extremes seen;
    for (int64_t row = 0; row < slice.rows; ++row) {
      seen.low = std::min(seen.low, first[row * slice.stride]);
      seen.high = std::max(seen.high, first[row * slice.stride]);
    }
    Affine best = scaled(seen, 1, format);
    double least = INFINITY;
    for (const float factor : kFactors) {
      if (!format.search_scale) break;
      const Affine affine = scaled(seen, factor, format);
      double error = 0;
      for (int64_t row = 0; row < slice.rows; ++row) {
        const float weight = first[row * slice.stride];
        const double off =
            weight -
            affine.scale * static_cast<float>(to_code(weight, affine, range) -
                                              affine.zero_point);
        error += off * off * (slice.importance ? slice.importance[row] : 1);
      }
      if (error < least) {
        least = error;
        best = affine;
      }
    }
    const int64_t p = block * result.columns + column;
    result.scales[p] = best.scale;
    result.zero_points[p] = static_cast<uint8_t>(best.zero_point);
  }
}

uint8_t block_code(const BlockCodes& codes, int64_t block, int64_t column,
                   float weight) {
  const int64_t p = block * codes.columns + column;
  return static_cast<uint8_t>(to_code(weight,
                                      {codes.scales[p], codes.zero_points[p]},
                                      {0, codes.format.high()}));
}

BlockCodes round_to_nearest(std::span<const float> weights, int64_t depth,
                            int64_t columns, const BlockFormat& format,
                            int jobs) {
  BlockCodes result(format, depth, columns);
  const int64_t slices = (columns + kSliceColumns - 1) / kSliceColumns;
  parallel_for(static_cast<size_t>(slices), jobs, [&](size_t slice) {
    const int64_t begin = static_cast<int64_t>(slice) * kSliceColumns;
    const int64_t end = std::min(begin + kSliceColumns, columns);
    for (int64_t block = 0; block < result.blocks; ++block) {
      const int64_t top = block * format.block_size;
      const int64_t bottom = std::min(top + format.block_size, depth);
      choose_scales(
          {weights.data() + top * columns, columns, bottom - top, begin, end},
          block, result);
      for (int64_t row = top; row < bottom; ++row)
        for (int64_t column = begin; column < end; ++column)
          result.codes[row * columns + column] = block_code(
              result, block, column, weights[row * columns + column]);
    }
  });
  return result;
}

}  // namespace lathe::quantize
