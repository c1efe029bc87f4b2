// The loop in which calibration by a histogram spends its time: counts of
// elements by bin, and their extremes, in one pass.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

namespace lathe::ranges {

// Where the counters of a histogram lie: the bins of positive elements, what
// does not fit, the bins of negative elements, what does not fit, zeros. Zeros
// are many, and the same counter twice in a row would wait for itself: they
// have several, whose sum counts.
struct BinLayout {
  static constexpr uint32_t kBins = 4096;  // of a sign
  static constexpr uint32_t kNegative = kBins + 1;
  static constexpr uint32_t kZeros = 2 * kNegative;
  static constexpr uint32_t kLanes = 16;
  static constexpr size_t kCounters = kZeros + kLanes;

  // The counter of `value`, whose magnitude lies in bin |value| * per_width; of
  // zero: `zero`. NaN does not fit.
  [[gnu::always_inline]] static inline uint32_t counter(float value,
                                                        float per_width,
                                                        uint32_t zero) {
    const float scaled = std::fabs(value) * per_width;
    // By way of int32_t, for which processors have an instruction.
    const auto bin = static_cast<int32_t>(scaled < kBins ? scaled : kBins);
    const uint32_t at =
        static_cast<uint32_t>(bin) + (value < 0 ? kNegative : 0);
    return value == 0 ? zero : at;
  }
};

// Infinities count, NaN does not.
struct Extremes {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
};

// Adds to `counters`, BinLayout::kCounters of them. `per_width`: one over the
// bins' width, a power of two.
using CountBins = Extremes (*)(std::span<const float> values, float per_width,
                               uint64_t* counters);

// One for each instruction set, all with the same result; those that this
// processor can run, the fastest last.
std::span<const CountBins> bin_counters();

}  // namespace lathe::ranges
