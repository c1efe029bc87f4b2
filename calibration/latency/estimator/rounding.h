// Numbers as they are stored: a fit rounds before it predicts, so that what was
// saved and read again predicts the same. Internal to the estimator.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace lathe::latency {

// The nearest number with so many significant decimal digits.
inline double rounded(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*e", digits - 1, value);
  return std::strtod(text, nullptr);
}

}  // namespace lathe::latency
