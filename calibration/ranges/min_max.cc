// The extremes themselves: nothing is clipped, and one outlier sets the scale.
#include "calibration/ranges/min_max.h"

#include "calibration/ranges/collector.h"
#include "calibration/ranges/observer.h"

namespace lathe::ranges {
namespace {

class MinMax final : public Observer {
 public:
  Range range(const FiniteRange& all, const ObserverOptions&) const override {
    return {all.min, all.max};
  }
};

}  // namespace

std::unique_ptr<Observer> make_min_max() { return std::make_unique<MinMax>(); }

std::unique_ptr<RangeCollector> make_min_max_collector(BatchSource& data,
                                                       int64_t samples,
                                                       int jobs) {
  return make_range_collector({.name = "min_max"}, data, samples, jobs);
}

}  // namespace lathe::ranges
