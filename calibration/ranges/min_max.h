// Min-max ranges in one streaming pass.
#pragma once

#include <cstdint>
#include <memory>

#include "passes/activation_ranges.h"

namespace lathe::ranges {

// make_range_collector (collector.h) with the observer "min_max" as its own.
std::unique_ptr<RangeCollector> make_min_max_collector(BatchSource& data,
                                                       int64_t samples,
                                                       int jobs);

}  // namespace lathe::ranges
