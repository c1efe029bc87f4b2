#include "passes/quantize/rounding_variables.h"

#include <algorithm>
#include <cmath>

#include "passes/base/jobs.h"

namespace lathe::quantize {
namespace {

// The sigmoid stretched to (-0.1, 1.1) and cut off at 0 and 1, so that both are
// reached.
constexpr float kLow = -0.1f, kHigh = 1.1f;

constexpr double kDecay1 = 0.9, kDecay2 = 0.999, kEpsilon = 1e-8;  // of Adam
constexpr size_t kSlice = 16384;

constexpr float kTolerance = 1e-3f;  // steps

// In a weight's place: it is no variable.
constexpr float kFixed = -1e30f;

float stretched_sigmoid(float v) {
  return (kHigh - kLow) / (1 + std::exp(-v)) + kLow;
}

float rectified(float v) {
  return v == kFixed ? 0 : std::clamp(stretched_sigmoid(v), 0.0f, 1.0f);
}

}  // namespace

RoundingVariables::RoundingVariables(const CodedLayer& layer)
    : scales_(layer.floats.size()),
      variables_(layer.floats.size(), kFixed),
      first_moment_(layer.floats.size(), 0),
      second_moment_(layer.floats.size(), 0),
      whole_(layer.floats.size()) {
  const auto most = static_cast<float>(layer.max_code);
  for (size_t i = 0; i < scales_.size(); ++i) {
    scales_[i] = layer.scale(i);
    const float steps = std::clamp(layer.floats[i] / scales_[i], -most, most);
    const float near = std::nearbyint(steps);
    const bool is_code = std::fabs(steps - near) < kTolerance;
    const float whole = is_code ? near : std::floor(steps);
    const float rest = steps - whole;
    whole_[i] = static_cast<int8_t>(whole);
    if (!is_code) variables_[i] = -std::log((kHigh - rest) / (rest - kLow));
  }
}

bool RoundingVariables::any_free() const {
  return std::ranges::any_of(variables_, [](float v) { return v != kFixed; });
}

void RoundingVariables::soft_weights(std::span<float> weights) const {
  for (size_t i = 0; i < size(); ++i)
    weights[i] =
        scales_[i] * (static_cast<float>(whole_[i]) + rectified(variables_[i]));
}

std::vector<int8_t> RoundingVariables::codes() const {
  std::vector<int8_t> codes = whole_;
  for (size_t i = 0; i < size(); ++i)
    if (rectified(variables_[i]) >= 0.5f) ++codes[i];
  return codes;
}

void RoundingVariables::weights_of(std::span<const int8_t> codes,
                                   std::span<float> weights) const {
  for (size_t i = 0; i < size(); ++i)
    weights[i] = scales_[i] * static_cast<float>(codes[i]);
}

void RoundingVariables::step(std::span<const float> gradient, const Step& step,
                             int jobs) {
  ++steps_;
  const auto count = static_cast<double>(steps_);
  const double correction1 = 1 - std::pow(kDecay1, count);
  const double correction2 = 1 - std::pow(kDecay2, count);
  const double weight = step.regularization / static_cast<double>(size());
  parallel_for((size() + kSlice - 1) / kSlice, jobs, [&](size_t slice) {
    const size_t end = std::min(size(), (slice + 1) * kSlice);
    for (size_t i = slice * kSlice; i < end; ++i) {
      float& v = variables_[i];
      const float h = rectified(v);
      if (v == kFixed || h <= 0 || h >= 1) continue;
      double slope = double{gradient[i]} * scales_[i];
      if (weight > 0) {
        const double d = 2 * double{h} - 1;
        slope -= weight * 2 * step.beta * std::copysign(1.0, d) *
                 std::pow(std::fabs(d), step.beta - 1);
      }
      const double s = (double{h} - kLow) / (kHigh - kLow);
      slope *= (kHigh - kLow) * s * (1 - s);
      const double m = kDecay1 * first_moment_[i] + (1 - kDecay1) * slope;
      const double u =
          kDecay2 * second_moment_[i] + (1 - kDecay2) * slope * slope;
      first_moment_[i] = static_cast<float>(m);
      second_moment_[i] = static_cast<float>(u);
      v -= static_cast<float>(step.learning_rate * (m / correction1) /
                              (std::sqrt(u / correction2) + kEpsilon));
    }
  });
}

}  // namespace lathe::quantize
