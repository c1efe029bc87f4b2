#include "calibration/ranges/finite_range.h"

#include <algorithm>
#include <cmath>

namespace lathe::ranges {
namespace {

constexpr size_t kLanes = 32;

void widen_slowly(std::span<const float> values, FiniteRange& range) {
  for (float value : values) {
    if (!std::isfinite(value)) continue;
    range.min = std::min(range.min, value);
    range.max = std::max(range.max, value);
  }
}

}  // namespace

void FiniteRange::widen(const FiniteRange& other) {
  min = std::min(min, other.min);
  max = std::max(max, other.max);
  any_element |= other.any_element;
}

FiniteRange finite_range(std::span<const float> values) {
  // Independent lanes, so that the compiler needs no leave to reorder floating
  // point. A comparison with NaN is false and leaves the lane as it was.
  float low[kLanes], high[kLanes];
  std::fill_n(low, kLanes, std::numeric_limits<float>::infinity());
  std::fill_n(high, kLanes, -std::numeric_limits<float>::infinity());
  size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    const float* at = values.data() + i;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      low[lane] = at[lane] < low[lane] ? at[lane] : low[lane];
      high[lane] = at[lane] > high[lane] ? at[lane] : high[lane];
    }
  }
  FiniteRange range;
  range.any_element = !values.empty();
  if (whole > 0) {
    range.min = *std::min_element(low, low + kLanes);
    range.max = *std::max_element(high, high + kLanes);
  }
  // NaN alone leaves min above max.
  bool met_infinity = whole > 0 && range.min <= range.max &&
                      !(std::isfinite(range.min) && std::isfinite(range.max));
  if (met_infinity) {
    range.min = std::numeric_limits<float>::infinity();
    range.max = -std::numeric_limits<float>::infinity();
    widen_slowly(values, range);
  } else {
    widen_slowly(values.subspan(whole), range);
  }
  return range;
}

FiniteRange finite_range(const ir::Tensor& tensor) {
  if (tensor.type() == ir::DataType::kFloat)
    return finite_range(tensor.data<float>());
  std::vector<float> values = tensor.to_floats();
  return finite_range(values);
}

}  // namespace lathe::ranges
