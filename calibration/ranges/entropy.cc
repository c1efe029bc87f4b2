// The clipping threshold T with the least Kullback-Leibler divergence between
// the elements, clipped to [-T, T], and what their codes can tell of them
// (Migacz, 8-bit inference with TensorRT, GTC 2017), for as many levels as the
// quantizer has. Where the elements do not reach to both -T and T, the levels
// lie between the extremes, as an asymmetric quantizer lays them: over [0, T]
// after Relu. Exact zeros take no part, as zero always is a code.
//
// P: the bins inside, those at the ends with all that lies beyond added. Q: the
// bins inside in groups, one a level, a group's count spread evenly over those
// of its bins that are not empty in P.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "calibration/ranges/observer.h"

namespace lathe::ranges {
namespace {

// Thresholds lie this share apart.
constexpr int64_t kSteps = 128;

double x_log_x(double x) { return x > 0 ? x * std::log(x) : 0; }

class Divergence {
 public:
  // One array from the most negative bin to the most positive one; bin `zero_`
  // begins at 0.
  Divergence(const Histogram& histogram, bool symmetric) {
    std::span<const uint64_t> positive = histogram.positive(),
                              negative = histogram.negative();
    const auto half =
        static_cast<int64_t>(std::max(positive.size(), negative.size()));
    below_ = symmetric ? half : static_cast<int64_t>(negative.size());
    above_ = symmetric ? half : static_cast<int64_t>(positive.size());
    const auto size = static_cast<size_t>(below_ + above_);
    bins_.assign(size, 0);
    const auto zero = static_cast<size_t>(below_);
    for (size_t k = 0; k < negative.size(); ++k)
      bins_[zero - 1 - k] = static_cast<double>(negative[k]);
    for (size_t k = 0; k < positive.size(); ++k)
      bins_[zero + k] = static_cast<double>(positive[k]);
    sums_.assign(size + 1, 0);
    logs_.assign(size + 1, 0);
    filled_.assign(size + 1, 0);
    for (size_t i = 0; i < size; ++i) {
      sums_[i + 1] = sums_[i] + bins_[i];
      logs_[i + 1] = logs_[i] + x_log_x(bins_[i]);
      filled_[i + 1] = filled_[i] + (bins_[i] > 0 ? 1 : 0);
    }
  }

  int64_t longest() const { return std::max(below_, above_); }
  // Bins that a threshold of so many bins leaves.
  int64_t inside(int64_t threshold) const {
    return std::min(threshold, below_) + std::min(threshold, above_);
  }

  // Infinite where Q has nothing for some of P. The sums over bins are
  // differences of running sums, so it costs `levels` steps.
  double at(int64_t threshold, int64_t levels) const {
    const auto first =
        static_cast<size_t>(below_ - std::min(threshold, below_));
    const size_t bins = static_cast<size_t>(inside(threshold));
    const size_t last = first + bins - 1;
    const double total = sums_.back();
    const double beyond_first = sums_[first];
    const double beyond_last = total - sums_[last + 1];
    const double kept = sums_[last + 1] - sums_[first];
    // Sum of P log P.
    double result = logs_[last + 1] - logs_[first];
    const auto widen_end = [&](size_t bin, double beyond) {
      result += x_log_x(bins_[bin] + beyond) - x_log_x(bins_[bin]);
    };
    widen_end(first, beyond_first);
    widen_end(last, beyond_last);
    // Less that of P log Q.
    const auto count = static_cast<size_t>(levels);
    for (size_t level = 0; level < count; ++level) {
      const size_t begin = first + level * bins / count;
      const size_t end = first + (level + 1) * bins / count;
      const double known = sums_[end] - sums_[begin];
      double p = known, filled = filled_[end] - filled_[begin];
      const auto add_end = [&](size_t bin, double beyond) {
        if (beyond == 0 || bin < begin || bin >= end) return;
        p += beyond;
        if (bins_[bin] == 0) filled += 1;
      };
      add_end(first, beyond_first);
      add_end(last, beyond_last);
      if (p == 0) continue;
      if (known == 0) return std::numeric_limits<double>::infinity();
      result -= p * std::log(known / filled);
    }
    return result / total - std::log(total) + std::log(kept);
  }

 private:
  int64_t below_ = 0, above_ = 0;  // bins
  std::vector<double> bins_;
  // Over the bins before each: counts, counts times their logarithms, and how
  // many are not empty.
  std::vector<double> sums_, logs_, filled_;
};

Range choose(const Histogram& histogram, const ObserverOptions& options) {
  const FiniteRange& all = histogram.range();
  const CodeRange codes = code_range(options.activation_type);
  const int64_t levels = codes.high - codes.low + (options.symmetric ? 0 : 1);
  const Divergence divergence(histogram, options.symmetric);
  double least = std::numeric_limits<double>::infinity();
  std::optional<int64_t> best;
  // Downwards, so that equals clip less.
  for (int64_t threshold = divergence.longest();
       threshold > 0 && divergence.inside(threshold) >= levels;
       threshold -= std::max(int64_t{1}, threshold / kSteps)) {
    const double found = divergence.at(threshold, levels);
    if (found >= least) continue;
    least = found;
    best = threshold;
  }
  if (!best || *best == divergence.longest()) return {all.min, all.max};
  const auto bound =
      static_cast<float>(static_cast<double>(*best) * histogram.bin_width());
  return {std::clamp(-bound, all.min, all.max),
          std::clamp(bound, all.min, all.max)};
}

}  // namespace

std::unique_ptr<Observer> make_entropy() {
  return make_histogram_observer(choose);
}

}  // namespace lathe::ranges
