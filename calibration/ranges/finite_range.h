// The smallest and largest finite element of tensors.
#pragma once

#include <limits>
#include <span>

#include "passes/ir/tensor.h"

namespace lathe::ranges {

struct FiniteRange {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  bool any_element = false;

  bool any_finite() const { return min <= max; }
  void widen(const FiniteRange& other);
};

// NaN and the infinities are left out.
FiniteRange finite_range(std::span<const float> values);
// Floating-point tensors of any width; doubles beyond float's range count as
// infinite. Error kUnsupported for other types.
FiniteRange finite_range(const ir::Tensor& tensor);

}  // namespace lathe::ranges
