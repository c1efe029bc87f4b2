#include "recipes/targets.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::recipes {
namespace {

constexpr const char* kForms = "a target is like 5ms, 800us, 0.5x or 200fps";

struct UnitRow {
  std::string_view suffix;
  Target::Unit unit;
  double factor;
};
constexpr UnitRow kUnits[] = {
    {"ms", Target::Unit::kMicroseconds, 1000},
    {"us", Target::Unit::kMicroseconds, 1},
    {"fps", Target::Unit::kPerSecond, 1},
    {"x", Target::Unit::kRelative, 1},
};

// The number at the front of `text` and what follows it, blanks taken off.
std::optional<double> leading_number(std::string_view text,
                                     std::string_view& rest) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  rest = trim(text.substr(static_cast<size_t>(end - text.data())));
  return value;
}

}  // namespace

double Target::limit_us(double input_us) const {
  switch (unit) {
    case Unit::kMicroseconds:
      return value;
    case Unit::kRelative:
      return value * input_us;
    case Unit::kPerSecond:
      return 1e6 / value;
  }
  throw_internal("target", "unknown unit");
}

std::optional<Target> try_parse_target(std::string_view text,
                                       std::string* problem) {
  const auto fail = [&](std::string what) -> std::optional<Target> {
    *problem = std::move(what);
    return std::nullopt;
  };
  std::string_view suffix;
  const auto number = leading_number(trim(text), suffix);
  if (!number)
    return fail(
        fmt::format("'{}' does not start with a number; {}", text, kForms));
  for (const UnitRow& row : kUnits) {
    if (suffix != row.suffix) continue;
    if (!std::isfinite(*number) || *number <= 0)
      return fail(fmt::format("'{}' is not above zero; {}", text, kForms));
    Target target;
    target.unit = row.unit;
    target.value = *number * row.factor;
    target.text = std::string(trim(text));
    return target;
  }
  if (suffix.empty())
    return fail(fmt::format("'{}' has no unit; {}", text, kForms));
  return fail(
      fmt::format("'{}' has the unknown unit '{}'; {}", text, suffix, kForms));
}

Target parse_target(std::string_view text, const std::string& where) {
  std::string problem;
  if (auto target = try_parse_target(text, &problem)) return *target;
  throw Error(ErrorKind::kUsage, where, problem);
}

double parse_drop(std::string_view text, const std::string& where) {
  std::string_view rest;
  const auto number = leading_number(trim(text), rest);
  const bool percent = number && rest == "%";
  const double value = number ? *number / (percent ? 100 : 1) : -1;
  if (!number || (!percent && !rest.empty()) || !(value >= 0 && value <= 1))
    throw Error(ErrorKind::kUsage, where,
                fmt::format("'{}' is no accuracy budget; one is like 1% (one "
                            "percentage point) or 0.01",
                            text));
  return value;
}

Met meets(const Target& target, const StageScore& score,
          const StageScore& input) {
  if (score.measured_latency && input.measured_latency) {
    const double limit = target.limit_us(input.measured_latency->median_us);
    return score.measured_latency->median_us <= limit * kNoiseAllowance
               ? Met::kMeasured
               : Met::kNo;
  }
  if (score.estimated_latency && input.estimated_latency) {
    const double limit = target.limit_us(input.estimated_latency->p95_us);
    return score.estimated_latency->p95_us <= limit ? Met::kEstimated
                                                    : Met::kNo;
  }
  return Met::kNo;
}

bool slower(const StageScore& score, const StageScore& input) {
  if (const auto& ours = score.measured_latency,
      &theirs = input.measured_latency;
      ours && theirs)
    return ours->median_us > theirs->median_us * kNoiseAllowance &&
           ours->p10_us > theirs->p10_us * kNoiseAllowance;
  if (score.estimated_latency && input.estimated_latency)
    return score.estimated_latency->p50_us > input.estimated_latency->p50_us;
  return false;
}

std::optional<double> accuracy_drop(const StageScore& score,
                                    const StageScore& input) {
  if (!score.accuracy) return std::nullopt;
  if (input.accuracy && input.accuracy->top1 && score.accuracy->top1)
    return *input.accuracy->top1 - *score.accuracy->top1;
  if (score.accuracy->agreement) return 1 - *score.accuracy->agreement;
  return std::nullopt;
}

}  // namespace lathe::recipes
