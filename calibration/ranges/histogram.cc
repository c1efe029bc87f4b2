#include "calibration/ranges/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

namespace lathe::ranges {
namespace {

constexpr uint32_t kNegative = BinLayout::kNegative;
// Small enough to stay in the cache when it is looked at again.
constexpr size_t kChunk = size_t{1} << 15;

// Of the smallest normal float: its inverse still is one.
constexpr int kLowestExponent = -126;
constexpr int kBitsOfBins = std::bit_width(Histogram::kBins) - 1;

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

Histogram::Histogram()
    : exponent_(kLowestExponent), counts_(BinLayout::kCounters) {}

FiniteRange Histogram::add(std::span<const float> values) {
  FiniteRange added;
  while (!values.empty()) {
    const size_t count = std::min(kChunk, values.size());
    added.widen(count_chunk(values.first(count)));
    values = values.subspan(count);
  }
  range_.widen(added);
  return added;
}

FiniteRange Histogram::count_chunk(std::span<const float> values) {
  // The first elements would not fit in bins of the least width.
  if (exponent_ == kLowestExponent) widen_bins(finite_range(values));
  static const CountBins count_bins = bin_counters().back();
  const float tried = per_width();
  const Extremes found = count_bins(values, tried, counts_.data());
  if (!take_misfits())
    return {.min = found.min, .max = found.max, .any_element = true};
  const FiniteRange range = finite_range(values);
  widen_bins(range);
  count_misfits(values, tried);
  return range;
}

bool Histogram::take_misfits() {
  const uint64_t positive = std::exchange(counts_[kBins], 0);
  const uint64_t negative = std::exchange(counts_[kNegative + kBins], 0);
  return positive > 0 || negative > 0;
}

// Those of `values` that did not fit at another width.
void Histogram::count_misfits(std::span<const float> values, float tried) {
  const float fitting = per_width();
  for (const float value : values)
    if (std::isfinite(value) && std::fabs(value) * tried >= kBins)
      ++counts_[BinLayout::counter(value, fitting, BinLayout::kZeros)];
}

void Histogram::widen_bins(const FiniteRange& range) {
  widen_to(exponent_for(range.max_abs()));
}

void Histogram::widen_to(int exponent) {
  if (exponent <= exponent_) return;
  const int shift = std::min(exponent - exponent_, kBitsOfBins);
  exponent_ = exponent;
  for (const uint32_t side : {uint32_t{0}, kNegative})
    for (uint32_t k = 1; k < kBins; ++k)
      counts_[side + (k >> shift)] += std::exchange(counts_[side + k], 0);
}

float Histogram::per_width() const { return std::ldexp(1.0f, -exponent_); }

void Histogram::save(ByteWriter& to) const {
  range_.save(to);
  to.add(exponent_);
  to.add(positive());
  to.add(negative());
  to.add(zeros());
}

void Histogram::merge(ByteReader& from) {
  range_.widen(FiniteRange::load(from));
  const int exponent = from.next<int>();
  widen_to(exponent);
  // Theirs may be narrower.
  const int shift = std::min(exponent_ - exponent, kBitsOfBins);
  for (uint32_t side : {uint32_t{0}, kNegative}) {
    const auto bins = from.next_list<uint64_t>();
    for (size_t k = 0; k < bins.size(); ++k)
      counts_[side + (k >> shift)] += bins[k];
  }
  counts_[BinLayout::kZeros] += from.next<uint64_t>();
}

double Histogram::bin_width() const { return std::ldexp(1.0, exponent_); }

std::span<const uint64_t> Histogram::positive() const {
  return without_empty_end(std::span(counts_).first(kBins));
}

std::span<const uint64_t> Histogram::negative() const {
  return without_empty_end(std::span(counts_).subspan(kNegative, kBins));
}

uint64_t Histogram::zeros() const {
  return sum(std::span(counts_).subspan(BinLayout::kZeros));
}

uint64_t Histogram::count() const {
  return sum(positive()) + sum(negative()) + zeros();
}

}  // namespace lathe::ranges
