// The smallest and largest finite element of tensors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "passes/base/byte_stream.h"

namespace lathe::ranges {

struct FiniteRange {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  bool any_element = false;
  uint64_t not_finite = 0;  // elements

  bool any_finite() const { return min <= max; }
  float max_abs() const { return any_finite() ? std::max(-min, max) : 0; }
  void widen(const FiniteRange& other);
  void save(ByteWriter& to) const;
  static FiniteRange load(ByteReader& from);
};

// NaN and the infinities are counted and left out.
FiniteRange finite_range(std::span<const float> values);

}  // namespace lathe::ranges
