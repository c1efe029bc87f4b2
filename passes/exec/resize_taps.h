// What each new element of a resized axis is made of. Internal to the executor.
//
// Coordinates are computed in float, as ONNX Runtime does: neighbours and
// weights then agree with its.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace lathe::exec::resize {

using Ints = std::vector<int64_t>;

enum class Mode { kNearest, kLinear, kCubic };
enum class Coordinates {
  kHalfPixel,
  kHalfPixelSymmetric,
  kPytorchHalfPixel,
  kTfHalfPixelForNn,
  kAlignCorners,
  kAsymmetric,
  kCrop
};
// kSimple: of opset 10 and before, up downwards and down upwards.
enum class Rounding { kSimple, kFloor, kCeil, kPreferFloor, kPreferCeil };
enum class Policy { kStretch, kNotLarger, kNotSmaller };

struct Settings {
  Mode mode = Mode::kNearest;
  Coordinates coordinates = Coordinates::kAsymmetric;
  Rounding rounding = Rounding::kSimple;
  Policy policy = Policy::kStretch;
  bool exclude_outside = false, antialias = false;
  float cubic = -0.75f, extrapolation = 0;
  std::optional<Ints> axes;
  std::optional<std::vector<double>> scales;  // Upsample's attribute
  size_t scales_at = 1;                       // sizes stand behind them
};

// One axis of a concrete tensor.
struct Axis {
  int64_t in = 0, out = 0;
  float scale = 1, roi_start = 0, roi_end = 1;
  bool kept() const { return in == out && scale == 1; }
};

// Tap t of new element i: index[t][i] with weight[t][i].
struct Taps {
  std::vector<Ints> index;
  std::vector<std::vector<float>> weight;
  std::vector<uint8_t> outside;  // takes the extrapolation value instead
};

Taps taps_of(const Settings& settings, const Axis& axis);

}  // namespace lathe::exec::resize
