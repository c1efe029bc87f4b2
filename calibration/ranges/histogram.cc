#include "calibration/ranges/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace lathe::ranges {
namespace {

constexpr size_t kLanes = 32;
// Small enough to stay in the cache between its range and its counts.
constexpr size_t kChunk = size_t{1} << 15;

constexpr int32_t kSide = Histogram::kBins + 1;  // the last: not finite
constexpr int32_t kZeros = 2 * kSide;            // one counter a lane
constexpr size_t kCounters = kZeros + kLanes;

// Of the smallest normal float: its inverse still is one.
constexpr int kLowestExponent = -126;
constexpr int kBitsOfBins = std::bit_width(unsigned{Histogram::kBins}) - 1;

// The width at which a magnitude falls in the upper half of the bins.
int exponent_for(float magnitude) {
  if (magnitude == 0) return kLowestExponent;
  return std::max(kLowestExponent, std::ilogb(magnitude) - (kBitsOfBins - 1));
}

std::span<const uint64_t> without_empty_end(std::span<const uint64_t> bins) {
  while (!bins.empty() && bins.back() == 0) bins = bins.first(bins.size() - 1);
  return bins;
}

uint64_t sum(std::span<const uint64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

}  // namespace

Histogram::Histogram() : exponent_(kLowestExponent), counts_(kCounters) {}

FiniteRange Histogram::add(std::span<const float> values) {
  FiniteRange added;
  while (!values.empty()) {
    std::span<const float> chunk =
        values.first(std::min(kChunk, values.size()));
    values = values.subspan(chunk.size());
    FiniteRange range = finite_range(chunk);
    added.widen(range);
    widen_bins(exponent_for(range.max_abs()));
    const float per_width = std::ldexp(1.0f, -exponent_);
    size_t whole = chunk.size() / kLanes * kLanes;
    for (size_t i = 0; i < whole; i += kLanes)
      count_block(chunk.data() + i, per_width);
    if (whole == chunk.size()) continue;
    // NaN fills the block: it is counted where nobody looks.
    float block[kLanes];
    std::fill_n(block, kLanes, std::numeric_limits<float>::quiet_NaN());
    std::copy(chunk.begin() + static_cast<std::ptrdiff_t>(whole), chunk.end(),
              block);
    count_block(block, per_width);
  }
  range_.widen(added);
  return added;
}

void Histogram::count_block(const float* values, float per_width) {
  int32_t bins[kLanes];
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const float value = values[lane];
    const float scaled = std::fabs(value) * per_width;
    const float fitting = scaled < kBins ? scaled : kBins;
    int32_t bin = static_cast<int32_t>(fitting) + (value < 0 ? kSide : 0);
    // Zeros are many; the same counter twice in a row would wait for itself.
    bins[lane] = value == 0 ? kZeros + static_cast<int32_t>(lane) : bin;
  }
  for (int32_t bin : bins) ++counts_[static_cast<size_t>(bin)];
}

void Histogram::widen_bins(int exponent) {
  if (exponent <= exponent_) return;
  const int shift = std::min(exponent - exponent_, kBitsOfBins);
  exponent_ = exponent;
  for (int32_t side : {0, kSide})
    for (int32_t k = 1; k < kBins; ++k) {
      const auto from = static_cast<size_t>(side + k);
      const uint64_t moved = std::exchange(counts_[from], 0);
      counts_[static_cast<size_t>(side + (k >> shift))] += moved;
    }
}

double Histogram::bin_width() const { return std::ldexp(1.0, exponent_); }

std::span<const uint64_t> Histogram::positive() const {
  return without_empty_end(std::span(counts_).first(kBins));
}

std::span<const uint64_t> Histogram::negative() const {
  return without_empty_end(std::span(counts_).subspan(kSide, kBins));
}

uint64_t Histogram::zeros() const {
  return sum(std::span(counts_).subspan(kZeros));
}

uint64_t Histogram::count() const {
  return sum(positive()) + sum(negative()) + zeros();
}

}  // namespace lathe::ranges
