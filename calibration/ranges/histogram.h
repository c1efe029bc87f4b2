// Counts of elements by value, in one pass and bounded memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "calibration/ranges/finite_range.h"

namespace lathe::ranges {

// Each sign has bins of its own, which begin at zero: bin k holds magnitudes in
// [k, k + 1) * bin_width(). Zeros have a count of their own. The width is a
// power of two and doubles, neighbours merging, when an element does not fit,
// so counts are exact and do not depend on the order of the elements.
class Histogram {
 public:
  // Of a sign. The larger side of the range fills more than half of them.
  static constexpr int32_t kBins = 4096;

  Histogram();
  // NaN and the infinities are left out (range().not_finite counts them).
  // Returns the extremes of `values`.
  FiniteRange add(std::span<const float> values);

  const FiniteRange& range() const { return range_; }
  double bin_width() const;
  // Up to the last bin that is not empty.
  std::span<const uint64_t> positive() const;
  std::span<const uint64_t> negative() const;
  uint64_t zeros() const;
  uint64_t count() const;  // of all finite elements

 private:
  void widen_bins(int exponent);
  void count_block(const float* values, float per_width);

  FiniteRange range_;
  int exponent_;  // the bin width's
  // Each sign's bins and one more for what is not finite, then the zeros,
  // spread over several counters.
  std::vector<uint64_t> counts_;
};

}  // namespace lathe::ranges
