#include "calibration/ranges/channel_extremes.h"

#include <fmt/format.h>

#include <array>

#include "passes/base/error.h"

namespace lathe::ranges {
namespace {

constexpr size_t kLanes = 16;

// `rows` rows of kLanes neighbouring channels, `stride` elements apart.
std::array<FiniteRange, kLanes> extremes_of_columns(const float* first,
                                                    size_t rows,
                                                    size_t stride) {
  float low[kLanes], high[kLanes];
  int32_t odd[kLanes] = {};
  std::fill_n(low, kLanes, std::numeric_limits<float>::infinity());
  std::fill_n(high, kLanes, -std::numeric_limits<float>::infinity());
  constexpr float kMost = std::numeric_limits<float>::max();
  for (size_t row = 0; row < rows; ++row) {
    const float* at = first + row * stride;
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = at[lane];
      // Comparisons with NaN are false.
      low[lane] = value < low[lane] && value >= -kMost ? value : low[lane];
      high[lane] = value > high[lane] && value <= kMost ? value : high[lane];
      odd[lane] += value - value == 0 ? 0 : 1;
    }
  }
  std::array<FiniteRange, kLanes> result;
  for (size_t lane = 0; lane < kLanes; ++lane)
    result[lane] = {low[lane], high[lane], rows > 0,
                    static_cast<uint64_t>(odd[lane])};
  return result;
}

}  // namespace

std::vector<FiniteRange> channel_extremes(const std::string& name,
                                          std::span<const float> values,
                                          std::span<const int64_t> dims,
                                          int64_t axis) {
  const auto rank = static_cast<int64_t>(dims.size());
  const int64_t at = axis < 0 ? axis + rank : axis;
  if (at < 0 || at >= rank)
    throw_input("value '" + name + "'",
                fmt::format("it has rank {} and so no axis {}", rank, axis));
  const auto channels = static_cast<size_t>(dims[static_cast<size_t>(at)]);
  std::vector<FiniteRange> result(channels);
  if (values.empty()) return result;
  size_t inner = 1;
  for (int64_t dim : dims.subspan(static_cast<size_t>(at) + 1))
    inner *= static_cast<size_t>(dim);
  const size_t outer = values.size() / (channels * inner);
  const auto widen_by_runs = [&](size_t channel) {
    for (size_t i = 0; i < outer; ++i)
      result[channel].widen(finite_range(
          values.subspan((i * channels + channel) * inner, inner)));
  };
  size_t channel = 0;
  if (inner == 1)
    for (; channel + kLanes <= channels; channel += kLanes) {
      const auto found =
          extremes_of_columns(values.data() + channel, outer, channels);
      std::copy(found.begin(), found.end(),
                result.begin() + static_cast<std::ptrdiff_t>(channel));
    }
  for (; channel < channels; ++channel) widen_by_runs(channel);
  return result;
}

void widen_channels(const std::string& name,
                    const std::vector<FiniteRange>& batch,
                    std::vector<FiniteRange>& all) {
  if (batch.empty()) return;
  if (all.empty()) all.resize(batch.size());
  if (all.size() != batch.size())
    throw_input("value '" + name + "'",
                fmt::format("it has {} channels for one sample and {} for "
                            "another; their number must not vary",
                            all.size(), batch.size()));
  for (size_t i = 0; i < all.size(); ++i) all[i].widen(batch[i]);
}

}  // namespace lathe::ranges
