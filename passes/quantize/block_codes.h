// Weight matrices as integer codes with a scale for each block of a column.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lathe::quantize {

struct BlockFormat {
  int bits = 4;             // 4 or 8
  int64_t block_size = 32;  // rows that share a scale
  // Zero is the middle code, 2^(bits - 1); else any code, one a block.
  bool symmetric = true;
  // Narrower scales are tried for the least squared error of the weights.
  bool search_scale = true;

  int32_t high() const { return (1 << bits) - 1; }  // the lowest is 0
  int32_t middle() const { return 1 << (bits - 1); }
};

// W [depth, columns], so that y = x W, as real = scale * (code - zero_point).
// The last block may be incomplete.
struct BlockCodes {
  BlockCodes(const BlockFormat& given, int64_t rows, int64_t width);

  BlockFormat format;
  int64_t depth = 0, columns = 0, blocks = 0;
  std::vector<uint8_t> codes;        // [depth, columns]
  std::vector<float> scales;         // [blocks, columns]; may be negative
  std::vector<uint8_t> zero_points;  // [blocks, columns]

  // [depth, columns]
  std::vector<float> dequantized() const;
};

// [rows, columns] to [columns, rows].
std::vector<float> transposed_values(std::span<const float> values,
                                     int64_t rows, int64_t columns);

// Some columns of some neighbouring rows of a matrix.
struct ColumnSlice {
  const float* first = nullptr;
  int64_t stride = 0;  // from row to row
  int64_t rows = 0;
  int64_t begin = 0, end = 0;  // columns; `first` is column 0's
  // What a squared error in each row counts; null: all the same.
  const float* importance = nullptr;
};

// Sets scale and zero point of one block for those columns.
void choose_scales(const ColumnSlice& slice, int64_t block, BlockCodes& result);

// The code of a weight in that block and column.
uint8_t block_code(const BlockCodes& codes, int64_t block, int64_t column,
                   float weight);

// Each weight to its nearest code. `weights` [depth, columns], finite.
BlockCodes round_to_nearest(std::span<const float> weights, int64_t depth,
                            int64_t columns, const BlockFormat& format,
                            int jobs);

}  // namespace lathe::quantize
