// The arithmetic of accuracy and fidelity, on one sample.
#pragma once

#include <cstdint>
#include <span>

namespace lathe::accuracy {

// SQNR is kept within plus and minus this, so that one exact (or one dead)
// output does not make a mean infinite.
inline constexpr double kMaxSqnrDb = 200;

// `count` scores, `stride` elements apart.
struct Scores {
  const float* data = nullptr;
  int64_t count = 0;
  int64_t stride = 1;
  float operator[](int64_t i) const { return data[i * stride]; }
};

// The first of the largest; -1 when a score is NaN or there is none.
int64_t arg_max(const Scores& scores);
// Whether at most k - 1 scores are ahead of scores[label]: larger, or equal
// with a smaller index. False when scores[label] is NaN.
bool in_top(const Scores& scores, int64_t label, int64_t k);

// Whether both choose the same: the same arg max. A single score is a yes/no
// decision: at 0.5 when both lie in [0, 1] (probabilities), else at 0 (logits).
bool same_choice(const Scores& a, const Scores& b);

struct SampleFidelity {
  double sqnr_db = 0;       // 10 log10(sum r^2 / sum (r - x)^2)
  double cosine = 0;        // sum r x / (|r| |x|)
  double max_abs_diff = 0;  // max |r - x|
};

// Sizes must agree. Elements that are the same infinity, or NaN, in both are
// left out. Where one is not finite and the other is not that: the worst there
// is (-200 dB, cosine -1, the largest float). Identical: 200 dB and cosine 1,
// all zero included; exactly one of the two all zero: cosine 0.
SampleFidelity fidelity(std::span<const float> reference,
                        std::span<const float> other);

}  // namespace lathe::accuracy
