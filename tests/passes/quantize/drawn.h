// Random weights for the quantization tests.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/base/random.h"

namespace lathe::quantize::test {

// Standard normal.
inline std::vector<float> drawn(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

}  // namespace lathe::quantize::test
