// Coordinates, windows and weights of resampling.
#include "passes/exec/resize_taps.h"

#include <algorithm>
#include <cmath>

namespace lathe::exec::resize {
namespace {

float coordinate(Coordinates kind, const Axis& axis, float x) {
  const auto in = static_cast<float>(axis.in);
  const auto out = static_cast<float>(axis.out);
  switch (kind) {
    case Coordinates::kAsymmetric:
      return x / axis.scale;
    case Coordinates::kPytorchHalfPixel:
      return axis.out > 1 ? (x + 0.5f) / axis.scale - 0.5f : 0.0f;
    case Coordinates::kTfHalfPixelForNn:
      return (x + 0.5f) / axis.scale;
    case Coordinates::kAlignCorners:
      return axis.out == 1 ? 0.0f : x * (in - 1) / (out - 1);
    case Coordinates::kCrop:
      if (axis.out == 1)
        return 0.5f * (axis.roi_start + axis.roi_end) * (in - 1);
      return axis.roi_start * (in - 1) +
             x * (axis.roi_end - axis.roi_start) * (in - 1) / (out - 1);
    case Coordinates::kHalfPixelSymmetric: {
      const float offset = in / 2 * (1 - out / (axis.scale * in));
      return static_cast<float>(offset + (x + 0.5) / axis.scale - 0.5);
    }
    case Coordinates::kHalfPixel:
      break;
  }
  return (x + 0.5f) / axis.scale - 0.5f;
}

int64_t nearest(Rounding rounding, float x, bool shrinks) {
  const bool is_half = x == std::floor(x) + 0.5f;
  switch (rounding) {
    case Rounding::kSimple:
      x = shrinks ? std::ceil(x) : std::trunc(x);
      break;
    case Rounding::kFloor:
      x = std::floor(x);
      break;
    case Rounding::kCeil:
      x = std::ceil(x);
      break;
    case Rounding::kPreferFloor:
      x = is_half ? std::floor(x) : std::round(x);
      break;
    case Rounding::kPreferCeil:
      x = is_half ? std::ceil(x) : std::round(x);
      break;
  }
  return static_cast<int64_t>(x);
}

float cubic_weight(float x, float a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

float linear_weight(float x) { return std::max(0.0f, 1 - std::abs(x)); }

// The neighbours of x and their weights, beyond the ends too.
struct Window {
  int64_t first = 0;
  std::vector<float> weights;
};

Window window_at(const Settings& s, const Axis& axis, float x) {
  Window window;
  if (s.mode == Mode::kNearest) {
    window.first = nearest(s.rounding, x, axis.scale < 1);
    window.weights = {1};
  } else if (s.antialias) {
    // The filter covers as many old elements as one new one stands for.
    const float stretch = axis.scale < 1 ? 1 / axis.scale : 1;
    const float support = (s.mode == Mode::kCubic ? 2.0f : 1.0f) * stretch;
    const float center = x + 0.5f;
    window.first = static_cast<int64_t>(std::floor(center - support + 0.5f));
    const auto end = static_cast<int64_t>(std::floor(center + support + 0.5f));
    for (int64_t i = window.first; i < end; ++i) {
      const float distance = (static_cast<float>(i) - center + 0.5f) / stretch;
      window.weights.push_back(s.mode == Mode::kCubic
                                   ? cubic_weight(distance, s.cubic)
                                   : linear_weight(distance));
    }
  } else if (s.mode == Mode::kLinear) {
    x = std::clamp(x, 0.0f, static_cast<float>(axis.in - 1));
    const float low = std::floor(x);
    window.first = static_cast<int64_t>(low);
    window.weights = {1 - (x - low), x - low};
  } else {
    const float low = std::floor(x), part = x - low;
    window.first = static_cast<int64_t>(low) - 1;
    window.weights = {
        cubic_weight(part + 1, s.cubic), cubic_weight(part, s.cubic),
        cubic_weight(1 - part, s.cubic), cubic_weight(2 - part, s.cubic)};
  }
  return window;
}

}  // namespace

Taps taps_of(const Settings& s, const Axis& axis) {
  Taps taps;
  const auto out = static_cast<size_t>(axis.out);
  for (size_t i = 0; i < out; ++i) {
    const float x = coordinate(s.coordinates, axis, static_cast<float>(i));
    taps.outside.push_back(s.coordinates == Coordinates::kCrop &&
                           (x < 0 || x > static_cast<float>(axis.in - 1)));
    Window window = window_at(s, axis, x);
    float sum = 0;
    for (size_t t = 0; t < window.weights.size(); ++t) {
      const int64_t at = window.first + static_cast<int64_t>(t);
      if (s.exclude_outside && (at < 0 || at >= axis.in)) window.weights[t] = 0;
      sum += window.weights[t];
    }
    const bool scales = (s.exclude_outside || s.antialias) && sum != 0;
    for (size_t t = 0; t < window.weights.size(); ++t) {
      if (taps.index.size() <= t) {
        taps.index.emplace_back(out, 0);
        taps.weight.emplace_back(out, 0.0f);
      }
      taps.index[t][i] = std::clamp<int64_t>(
          window.first + static_cast<int64_t>(t), 0, axis.in - 1);
      taps.weight[t][i] = window.weights[t] / (scales ? sum : 1);
    }
  }
  return taps;
}

}  // namespace lathe::exec::resize
