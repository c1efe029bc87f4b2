#include "passes/quantize/magnitudes.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace lathe::quantize {
namespace {

// Independent lanes, so that the compiler needs no leave to reorder floating
// point.
constexpr size_t kLanes = 32;

}  // namespace

float max_magnitude(std::span<const float> values) {
  float result = 0;
  const size_t whole = values.size() / kLanes * kLanes;
  for (const float value : values.subspan(whole))
    result = std::max(result, std::fabs(value));
  if (whole == 0) return result;
  float most[kLanes] = {};
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float magnitude = std::fabs(values[i + lane]);
      most[lane] = most[lane] < magnitude ? magnitude : most[lane];
    }
  return std::max(result, *std::max_element(most, most + kLanes));
}

bool all_within(std::span<const float> values, float limit) {
  uint32_t beyond[kLanes] = {};
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      beyond[lane] |= std::fabs(values[i + lane]) <= limit ? 0U : 1U;
  return std::all_of(beyond, beyond + kLanes, [](uint32_t b) { return !b; }) &&
         std::ranges::all_of(values.subspan(whole), [&](float value) {
           return std::fabs(value) <= limit;
         });
}

}  // namespace lathe::quantize
