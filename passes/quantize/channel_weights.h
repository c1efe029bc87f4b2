// The constants that take in the factors of channels: what of them counts for
// quantization, and their new numbers.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "passes/quantize/channel_groups.h"

namespace lathe::quantize {

// Multiplies (or divides) the site's constant by the factor of each element's
// channel. A vector that others read as well is copied.
void scale_constant(const ScaleSite& site, std::span<const double> factors);

// Largest magnitude of a site's constant in each channel; 0 for channels that
// it does not hold.
std::vector<double> channel_maxima(const ScaleSite& site, int64_t channels);

// A product's weights by output and by channel of its input. Rows are outputs
// as they get a scale each: output channels, columns.
class ProductWeights {
 public:
  explicit ProductWeights(const ScaleSite& site);

  int64_t rows() const { return rows_; }
  // Calls f(row, channel, weight) for each of them.
  template <class F>
  void for_each(F&& f) const {
    const int64_t per_block = outer_ / blocks_;
    const int64_t runs = inner_ / row_size_;
    const float* weight = weights_;
    for (int64_t a = 0; a < outer_; ++a) {
      const int64_t* channel = channels_.data() + a / per_block * depth_;
      for (int64_t d = 0; d < depth_; ++d)
        for (int64_t r = 0; r < runs; ++r) {
          const int64_t row = a * row_step_ + first_rows_[d] + r;
          for (int64_t i = 0; i < row_size_; ++i) f(row, channel[d], *weight++);
        }
    }
  }

 private:
  const float* weights_;
  int64_t blocks_ = 1;
  std::vector<int64_t> channels_;    // one for each depth of each block
  std::vector<int64_t> first_rows_;  // one for each depth: its group's
  // Weights seen as [outer, depth, inner], depth along the channels.
  int64_t outer_ = 1, depth_ = 1, inner_ = 1;
  // The row is a * row_step_ + first_rows_[d] + i / row_size_.
  int64_t row_step_ = 0, row_size_ = 1;
  int64_t rows_ = 1;
};

}  // namespace lathe::quantize
