// Min-max ranges in one streaming pass.
#pragma once

#include <cstdint>
#include <memory>

#include "passes/activation_ranges.h"

namespace lathe::ranges {

// Reads `samples` samples (0: all) of `data` through ONNX Runtime, `jobs` at a
// time, one thread each.
std::unique_ptr<RangeCollector> make_min_max_collector(BatchSource& data,
                                                       int64_t samples,
                                                       int jobs);

}  // namespace lathe::ranges
