#include "calibration/ranges/finite_range.h"

#include <cmath>

namespace lathe::ranges {
namespace {

constexpr size_t kLanes = 32;
// Elements whose odd ones a 32-bit lane counts without overflow.
constexpr size_t kMostAtOnce = kLanes << 30;

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
  not_finite += other.not_finite;
}

FiniteRange finite_range(std::span<const float> values) {
  if (values.size() > kMostAtOnce) {
    FiniteRange range = finite_range(values.first(kMostAtOnce));
    range.widen(finite_range(values.subspan(kMostAtOnce)));
    return range;
  }
  // Independent lanes, so that the compiler needs no leave to reorder floating
  // point. A comparison with NaN is false and leaves the lane as it was.
  float low[kLanes], high[kLanes];
  int32_t odd[kLanes] = {};
  std::fill_n(low, kLanes, std::numeric_limits<float>::infinity());
  std::fill_n(high, kLanes, -std::numeric_limits<float>::infinity());
  size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    const float* at = values.data() + i;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      low[lane] = at[lane] < low[lane] ? at[lane] : low[lane];
      high[lane] = at[lane] > high[lane] ? at[lane] : high[lane];
      // NaN for what is not finite, which equals nothing.
      odd[lane] += at[lane] - at[lane] == 0 ? 0 : 1;
    }
  }
  FiniteRange range;
  range.any_element = !values.empty();
  for (int32_t count : odd) range.not_finite += static_cast<uint64_t>(count);
  if (range.not_finite > 0) {
    widen_slowly(values.first(whole), range);
  } else if (whole > 0) {
    range.min = *std::min_element(low, low + kLanes);
    range.max = *std::max_element(high, high + kLanes);
  }
  std::span<const float> rest = values.subspan(whole);
  widen_slowly(rest, range);
  for (float value : rest) range.not_finite += !std::isfinite(value);
  return range;
}

void FiniteRange::save(ByteWriter& to) const {
  to.add(min);
  to.add(max);
  to.add(any_element);
  to.add(not_finite);
}

FiniteRange FiniteRange::load(ByteReader& from) {
  FiniteRange range;
  range.min = from.next<float>();
  range.max = from.next<float>();
  range.any_element = from.next<bool>();
  range.not_finite = from.next<uint64_t>();
  return range;
}

}  // namespace lathe::ranges
