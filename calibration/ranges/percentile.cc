// Cuts (100 - percentile) / 2 percent of the elements off at either end; of
// magnitudes, for symmetric ranges, (100 - percentile) percent. A bin's
// elements count as spread evenly over it.
#include <algorithm>

#include "calibration/ranges/observer.h"

namespace lathe::ranges {
namespace {

using Bins = std::span<const uint64_t>;

// The bound, in bins and positive towards `outer`, with `cut` elements beyond
// it. `inner` are the bins on the other side of zero.
double bound(Bins outer, uint64_t zeros, Bins inner, double cut) {
  for (size_t k = outer.size(); k-- > 0;) {
    const auto count = static_cast<double>(outer[k]);
    if (count > 0 && count >= cut)
      return static_cast<double>(k + 1) - cut / count;
    cut -= count;
  }
  if (static_cast<double>(zeros) >= cut) return 0;
  cut -= static_cast<double>(zeros);
  for (size_t k = 0; k < inner.size(); ++k) {
    const auto count = static_cast<double>(inner[k]);
    if (count > 0 && count >= cut)
      return -(static_cast<double>(k) + cut / count);
    cut -= count;
  }
  return -static_cast<double>(inner.size());
}

Range choose(const Histogram& histogram, const ObserverOptions& options) {
  const Bins positive = histogram.positive(), negative = histogram.negative();
  const double share = (100 - options.percentile) / 100;
  const double cut = share * static_cast<double>(histogram.count());
  const FiniteRange& all = histogram.range();
  const auto inside = [&](double bins) {
    return std::clamp(static_cast<float>(bins * histogram.bin_width()), all.min,
                      all.max);
  };
  if (options.symmetric) {
    std::vector<uint64_t> magnitudes(
        std::max(positive.size(), negative.size()));
    for (Bins side : {positive, negative})
      for (size_t k = 0; k < side.size(); ++k) magnitudes[k] += side[k];
    const double most = bound(magnitudes, histogram.zeros(), {}, cut);
    return {inside(-most), inside(most)};
  }
  return {inside(-bound(negative, histogram.zeros(), positive, cut / 2)),
          inside(bound(positive, histogram.zeros(), negative, cut / 2))};
}

}  // namespace

std::unique_ptr<Observer> make_percentile() {
  return make_histogram_observer(choose);
}

}  // namespace lathe::ranges
