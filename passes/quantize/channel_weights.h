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
    const int64_t per_block = outer_ / site_.blocks;
    for (int64_t a = 0; a < outer_; ++a)
      for (int64_t d = 0; d < depth_; ++d) {
        const int64_t channel = channel_of(a / per_block * depth_ + d);
        const float* at = weights_ + (a * depth_ + d) * inner_;
        const int64_t first =
            a * row_step_ + d / depth_per_group_ * group_rows_;
        for (int64_t i = 0; i < inner_; ++i)
          f(first + i / row_size_, channel, at[i]);
      }
  }

 private:
  int64_t channel_of(int64_t element) const {
    return site_.at.offset + element / site_.at.inner;
  }

  ScaleSite site_;
  const float* weights_;
  // Weights seen as [outer, depth, inner], depth along the channels.
  int64_t outer_ = 1, depth_ = 1, inner_ = 1;
  // The row is a * row_step_ + (d's group) * group_rows_ + i / row_size_.
  int64_t row_step_ = 0, row_size_ = 1, depth_per_group_ = 1, group_rows_ = 0;
  int64_t rows_ = 1;
};

}  // namespace lathe::quantize
