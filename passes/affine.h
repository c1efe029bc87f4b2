// Affine quantization parameters: real = scale * (code - zero_point).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "passes/ir/data_type.h"

namespace lathe {

// The closed range of real values a tensor was seen to take.
struct Range {
  float min = 0;
  float max = 0;
  bool operator==(const Range&) const = default;
};

struct Affine {
  float scale = 1;
  int32_t zero_point = 0;
};

// The codes of an integer type of at most 16 bits: uint8 -> 0..255,
// int8 -> -128..127.
struct CodeRange {
  int32_t low = 0;
  int32_t high = 0;
};
CodeRange code_range(ir::DataType type);

// Asymmetric: the range is widened to hold 0, so that zero padding is exact,
// scale = (max - min) / (high - low), zero point = low - min / scale, rounded
// and clamped (ONNX operator QuantizeLinear). A range of zero width, or so
// narrow that the scale would not be a normal float, gives scale 1 / (high -
// low). Not finite: error kInternal.
Affine asymmetric_affine(Range range, ir::DataType type);

// Symmetric: zero point 0 for signed types (the lowest code is not used), the
// middle code for unsigned; scale = max|x| / ((high - low) / 2).
Affine symmetric_affine(float max_abs, ir::DataType type);

// The same for signed codes -max_code..max_code.
Affine symmetric_affine(float max_abs, int32_t max_code);

// One or the other; the symmetric one of max(|min|, |max|).
Affine affine_of(Range range, ir::DataType type, bool symmetric);

// round-half-even(value / scale) + zero_point, saturated: QuantizeLinear.
inline int32_t to_code(float value, Affine affine, CodeRange codes) {
  float steps = value / affine.scale;
  if (std::isnan(steps)) return affine.zero_point;
  steps = std::clamp(steps, static_cast<float>(codes.low - affine.zero_point),
                     static_cast<float>(codes.high - affine.zero_point));
  // Floats from here on are whole, so that the sum is rounded to even; faster
  // than a call of nearbyint for each of millions of weights.
  constexpr float kWhole = 12582912;  // 1.5 * 2^23
  return static_cast<int32_t>((steps + kWhole) - kWhole) + affine.zero_point;
}

}  // namespace lathe
