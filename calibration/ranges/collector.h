// Ranges in one streaming pass over data.
#pragma once

#include <cstdint>
#include <memory>

#include "passes/activation_ranges.h"
#include "passes/ranks.h"

namespace lathe::ranges {

// Reads `samples` samples (0: all) of `data` through ONNX Runtime, `jobs` at a
// time, one thread each. With `ranks`, each runs its own samples and has the
// ranges over those of all: the same as one process's, to rounding where an
// observer averages. `observer` is the collector's own: what collect() uses
// where it is given none. Error kUsage for an observer or percentile that there
// is none of.
std::unique_ptr<RangeCollector> make_range_collector(
    const ObserverOptions& observer, BatchSource& data, int64_t samples,
    int jobs, Ranks* ranks = nullptr);

}  // namespace lathe::ranges
