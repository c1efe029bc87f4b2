// Whether blocking a region pays.
#pragma once

#include <string>

#include "passes/latency_model.h"
#include "passes/quantize/block_pixels_region.h"

namespace lathe::quantize {

// Empty when it does; else why not, a sentence about the region. Asks the
// latency model where it is calibrated, else a rule from measurements.
std::string why_not_worth(const Region& region, const LatencyModel* latency);

}  // namespace lathe::quantize
