// Latency targets and accuracy budgets as people write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "passes/stage_scorer.h"

namespace lathe::recipes {

// "5ms", "800us", "0.5x", "200fps".
struct Target {
  enum class Unit { kMicroseconds, kRelative, kPerSecond };
  Unit unit = Unit::kRelative;
  double value = 1;  // in the unit: us, a factor, runs a second
  std::string text;  // as written

  // Microseconds; `input_us` is the input model's figure of the same kind.
  double limit_us(double input_us) const;
};

// Error kUsage with `where` ("--target-latency") in front: what was found and
// the four forms.
Target parse_target(std::string_view text, const std::string& where);
// The same, as a message: nullopt and `problem` set when it is none.
std::optional<Target> try_parse_target(std::string_view text,
                                       std::string* problem);

// "1%" (percentage points) or "0.01" -> 0.01; in [0, 1].
double parse_drop(std::string_view text, const std::string& where);

// A measured median counts as met up to 2% above the target.
inline constexpr double kNoiseAllowance = 1.02;

enum class Met { kNo, kMeasured, kEstimated };

// Whether `score` meets the target: by the measured medians where both scores
// have them, else by the estimates' p95. kNo when neither is there.
Met meets(const Target& target, const StageScore& score,
          const StageScore& input);
// Slower than the input by more than noise: by the measured medians and, since
// other programs disturb those first, by the measured p10 as well; else by the
// estimated p50.
bool slower(const StageScore& score, const StageScore& input);

// How much accuracy was lost against the input: top-1, or without labels
// 1 - agreement; nullopt when neither is defined.
std::optional<double> accuracy_drop(const StageScore& score,
                                    const StageScore& input);

}  // namespace lathe::recipes
