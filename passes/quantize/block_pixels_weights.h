// Convolutions between images whose pixels are gathered in blocks of 2x2.
//
// A blocked image holds, for C channels of H x W pixels, the channel
// (dy * 2 + dx) * C + c of block (a, b), which is channel c of the pixel
// (2a - shift_y + dy, 2b - shift_x + dx). With a shift of 1 the outermost
// blocks reach one pixel beyond the image.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "passes/ir/tensor.h"
#include "passes/quantize/block_pixels_steps.h"

namespace lathe::quantize {

// How an image lies along one axis.
struct AxisLayout {
  int64_t block = 1;  // pixels a block: 1 or 2
  int64_t shift = 0;  // pixels of the first block before the image

  int64_t blocks(int64_t pixels) const {
    return (pixels + shift + block - 1) / block;
  }
  bool operator==(const AxisLayout&) const = default;
};

// Both axes. Plain where both blocks are 1; both are 2 otherwise.
struct BlockLayout {
  AxisLayout rows, columns;

  bool blocked() const { return rows.block == 2; }
  bool shifted() const { return rows.shift > 0 || columns.shift > 0; }
  // Channels of the blocked image for one of the plain.
  int64_t fold() const { return rows.block * columns.block; }
  bool operator==(const BlockLayout&) const = default;
};

// A window of the plain image as one of blocks.
struct AxisPlan {
  struct Tap {
    int64_t kernel;   // of the new window
    int64_t in, out;  // pixel in its block
    int64_t source;   // of the old window
  };
  int64_t kernel = 1, stride = 1, pad_begin = 0, pad_end = 0;
  std::vector<Tap> taps;
};

// Nullopt where a window of blocks cannot say it: a stride that is no whole
// number of blocks.
std::optional<AxisPlan> plan_axis(const Window& window, AxisLayout in,
                                  AxisLayout out);

// int8 [M, C, kh, kw] -> [M * fold, C * fold', kh', kw'], 0 where no tap is.
ir::Tensor block_weights(const ir::Tensor& weights, const AxisPlan& rows,
                         const AxisPlan& columns, const BlockLayout& in,
                         const BlockLayout& out);

// 1 for the output channel of each input channel, else 0: int8 [M, C, 1, 1].
ir::Tensor selecting_weights(const std::vector<int64_t>& channels,
                             int64_t inputs);

// A vector of one element a channel, `times` times; a scalar as it is.
ir::Tensor tiled(const ir::Tensor& per_channel, int64_t times);

// [1, C * 4, blocks, blocks]: `inside` for pixels of the image, else `outside`.
ir::Tensor block_mask(const BlockLayout& layout, int64_t channels,
                      int64_t height, int64_t width, ir::DataType type,
                      int64_t inside, int64_t outside);

}  // namespace lathe::quantize
