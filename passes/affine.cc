#include "passes/affine.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "passes/base/error.h"

namespace lathe {
namespace {

float usable_scale(double scale, CodeRange codes) {
  // Below this, codes times scale would be denormal in float.
  constexpr double kSmallest = std::numeric_limits<float>::min();
  if (scale < kSmallest)
    return 1.0f / static_cast<float>(codes.high - codes.low);
  return static_cast<float>(scale);
}

void require_finite(double value) {
  if (!std::isfinite(value))
    throw_internal("affine parameters", "range is not finite");
}

}  // namespace

CodeRange code_range(ir::DataType type) {
  switch (type) {
    case ir::DataType::kUint8:
      return {0, 255};
    case ir::DataType::kInt8:
      return {-128, 127};
    case ir::DataType::kUint16:
      return {0, 65535};
    case ir::DataType::kInt16:
      return {-32768, 32767};
    case ir::DataType::kUint4:
      return {0, 15};
    case ir::DataType::kInt4:
      return {-8, 7};
    default:
      throw_internal("affine parameters",
                     std::string("no codes for type ") + ir::to_string(type));
  }
}

Affine asymmetric_affine(Range range, ir::DataType type) {
  require_finite(range.min);
  require_finite(range.max);
  CodeRange codes = code_range(type);
  double low = std::min(0.0, static_cast<double>(range.min));
  double high = std::max(0.0, static_cast<double>(range.max));
  float scale = usable_scale((high - low) / (codes.high - codes.low), codes);
  double zero = std::nearbyint(codes.low - low / scale);
  return {scale,
          static_cast<int32_t>(std::clamp(zero, static_cast<double>(codes.low),
                                          static_cast<double>(codes.high)))};
}

Affine symmetric_affine(float max_abs, ir::DataType type) {
  require_finite(max_abs);
  CodeRange codes = code_range(type);
  int32_t half = (codes.high - codes.low) / 2;
  bool is_signed = codes.low < 0;
  return {usable_scale(static_cast<double>(std::fabs(max_abs)) / half, codes),
          is_signed ? 0 : codes.low + half + 1};
}

Affine symmetric_affine(float max_abs, int32_t max_code) {
  require_finite(max_abs);
  return {usable_scale(static_cast<double>(std::fabs(max_abs)) / max_code,
                       {-max_code - 1, max_code}),
          0};
}

Affine affine_of(Range range, ir::DataType type, bool symmetric) {
  if (!symmetric) return asymmetric_affine(range, type);
  return symmetric_affine(std::max(std::fabs(range.min), std::fabs(range.max)),
                          type);
}

}  // namespace lathe
