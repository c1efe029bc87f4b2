#include "calibration/accuracy/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace lathe::accuracy {
namespace {

bool decides_yes(float score, bool probability) {
  return score >= (probability ? 0.5f : 0.0f);
}

bool is_probability(float score) { return score >= 0 && score <= 1; }

bool same_non_finite(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || (std::isinf(a) && a == b);
}

}  // namespace

int64_t arg_max(const Scores& scores) {
  int64_t best = -1;
  for (int64_t i = 0; i < scores.count; ++i) {
    if (std::isnan(scores[i])) return -1;
    if (best < 0 || scores[i] > scores[best]) best = i;
  }
  return best;
}

bool in_top(const Scores& scores, int64_t label, int64_t k) {
  float score = scores[label];
  if (std::isnan(score)) return false;
  int64_t ahead = 0;
  for (int64_t i = 0; i < scores.count; ++i)
    ahead += scores[i] > score || (scores[i] == score && i < label);
  return ahead < k;
}

bool same_choice(const Scores& a, const Scores& b) {
  if (a.count == 1 && b.count == 1) {
    if (std::isnan(a[0]) || std::isnan(b[0])) return false;
    bool probability = is_probability(a[0]) && is_probability(b[0]);
    return decides_yes(a[0], probability) == decides_yes(b[0], probability);
  }
  int64_t best = arg_max(a);
  return best >= 0 && best == arg_max(b);
}

SampleFidelity fidelity(std::span<const float> reference,
                        std::span<const float> other) {
  double signal = 0, noise = 0, power = 0, product = 0, max_diff = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    if (!std::isfinite(reference[i]) || !std::isfinite(other[i])) {
      if (same_non_finite(reference[i], other[i])) continue;
      return {-kMaxSqnrDb, -1, std::numeric_limits<float>::max()};
    }
    double r = reference[i], x = other[i];
    signal += r * r;
    power += x * x;
    product += r * x;
    noise += (r - x) * (r - x);
    max_diff = std::max(max_diff, std::abs(r - x));
  }
  SampleFidelity result;
  result.max_abs_diff = max_diff;
  result.sqnr_db = noise > 0 ? std::clamp(10 * std::log10(signal / noise),
                                          -kMaxSqnrDb, kMaxSqnrDb)
                             : kMaxSqnrDb;
  if (noise == 0)
    result.cosine = 1;
  else if (signal > 0 && power > 0)
    result.cosine =
        std::clamp(product / std::sqrt(signal) / std::sqrt(power), -1.0, 1.0);
  return result;
}

}  // namespace lathe::accuracy
