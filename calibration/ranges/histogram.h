// Counts of elements by value, in one pass and bounded memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "calibration/ranges/bin_counts.h"
#include "calibration/ranges/finite_range.h"

namespace lathe::ranges {

// Each sign has bins of its own, which begin at zero: bin k holds magnitudes in
// [k, k + 1) * bin_width(). Zeros have a count of their own. The width is a
// power of two and doubles, neighbours merging, when an element does not fit,
// so counts are exact and do not depend on the order of the elements.
class Histogram {
 public:
  // Of a sign. The larger side of the range fills more than half of them.
  static constexpr uint32_t kBins = BinLayout::kBins;

  Histogram();
  // NaN and the infinities are left out (range().not_finite counts them).
  // Returns the extremes of `values`.
  FiniteRange add(std::span<const float> values);

  void save(ByteWriter& to) const;
  // As if it had been given the other's elements, too.
  void merge(ByteReader& from);

  const FiniteRange& range() const { return range_; }
  double bin_width() const;
  // Up to the last bin that is not empty.
  std::span<const uint64_t> positive() const;
  std::span<const uint64_t> negative() const;
  uint64_t zeros() const;
  uint64_t count() const;  // of all finite elements

 private:
  float per_width() const;
  void widen_bins(const FiniteRange& range);
  void widen_to(int exponent);
  FiniteRange count_chunk(std::span<const float> values);
  bool take_misfits();
  void count_misfits(std::span<const float> values, float tried);

  FiniteRange range_;
  int exponent_;                  // the bin width's
  std::vector<uint64_t> counts_;  // laid out as BinLayout says
};

}  // namespace lathe::ranges
