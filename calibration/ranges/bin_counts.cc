#include "calibration/ranges/bin_counts.h"

#include <algorithm>
#include <cstring>

namespace lathe::ranges {
namespace {

constexpr size_t kLanes = BinLayout::kLanes;
// Elements from here that memory is asked for: further than the processor
// looks by itself, which stops at the end of a page.
constexpr size_t kAhead = 512;

// Lanes that are independent of each other and blocks of a fixed size, so that
// the compiler makes vectors of them for the instruction set of the caller.
[[gnu::always_inline]] inline Extremes count(std::span<const float> values,
                                             float per_width,
                                             uint64_t* counters) {
  float low[kLanes], high[kLanes];
  std::fill_n(low, kLanes, Extremes().min);
  std::fill_n(high, kLanes, Extremes().max);
  const float* const from = values.data();
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    __builtin_prefetch(from + std::min(i + kAhead, whole));
    uint32_t at[kLanes];
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = from[i + lane];
      low[lane] = value < low[lane] ? value : low[lane];
      high[lane] = value > high[lane] ? value : high[lane];
      at[lane] = BinLayout::counter(
          value, per_width, BinLayout::kZeros + static_cast<uint32_t>(lane));
    }
    // Two at a load: loads and stores are what the loop waits for.
    for (size_t lane = 0; lane < kLanes; lane += 2) {
      uint64_t two;
      std::memcpy(&two, at + lane, sizeof(two));
      ++counters[static_cast<uint32_t>(two)];
      ++counters[two >> 32];
    }
  }
  Extremes result{*std::min_element(low, low + kLanes),
                  *std::max_element(high, high + kLanes)};
  for (size_t i = whole; i < values.size(); ++i) {
    const float value = from[i];
    result.min = value < result.min ? value : result.min;
    result.max = value > result.max ? value : result.max;
    ++counters[BinLayout::counter(value, per_width, BinLayout::kZeros)];
  }
  return result;
}

Extremes count_anywhere(std::span<const float> values, float per_width,
                        uint64_t* counters) {
  return count(values, per_width, counters);
}

#ifdef __x86_64__
[[gnu::target("avx2")]] Extremes count_with_avx2(std::span<const float> values,
                                                 float per_width,
                                                 uint64_t* counters) {
  return count(values, per_width, counters);
}

constexpr CountBins kCounters[] = {count_anywhere, count_with_avx2};

size_t runnable() { return __builtin_cpu_supports("avx2") ? 2 : 1; }
#else
constexpr CountBins kCounters[] = {count_anywhere};

size_t runnable() { return 1; }
#endif

}  // namespace

std::span<const CountBins> bin_counters() {
  return std::span(kCounters).first(runnable());
}

}  // namespace lathe::ranges
