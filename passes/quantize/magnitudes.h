// Passes over the elements of large constants, several at a time.
#pragma once

#include <span>

namespace lathe::quantize {

// max |x|; 0 where there are none. NaN does not count.
float max_magnitude(std::span<const float> values);

// |x| <= limit everywhere; false where an element is NaN.
bool all_within(std::span<const float> values, float limit);

}  // namespace lathe::quantize
