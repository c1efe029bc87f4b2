// The extremes of each channel of a tensor.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "calibration/ranges/finite_range.h"

namespace lathe::ranges {

// One for each index along `axis` (negative: counted from the last). `name`:
// the value's, for messages. Error kInput where the tensor has no such axis.
std::vector<FiniteRange> channel_extremes(const std::string& name,
                                          std::span<const float> values,
                                          std::span<const int64_t> dims,
                                          int64_t axis);

// Widens each of `all` (which may be empty yet) by that of `batch`, if it has
// any. Error kInput where their numbers differ.
void widen_channels(const std::string& name,
                    const std::vector<FiniteRange>& batch,
                    std::vector<FiniteRange>& all);

}  // namespace lathe::ranges
