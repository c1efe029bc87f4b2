#include "recipes/candidate.h"

#include <fmt/format.h>

#include "passes/base/text.h"

namespace lathe::recipes {
namespace {

std::string latency_text(const StageScore& score, bool measured) {
  return format_latency_us(measured ? score.measured_latency->median_us
                                    : score.estimated_latency->p95_us);
}

}  // namespace

std::string slower_reason(const Candidate& candidate) {
  const bool measured = candidate.score.measured_latency.has_value();
  return fmt::format(
      "slower than the input model: {} {} against {}",
      measured ? "measured" : "estimated",
      format_latency_us(measured ? candidate.score.measured_latency->median_us
                                 : candidate.score.estimated_latency->p50_us),
      format_latency_us(measured ? candidate.input.measured_latency->median_us
                                 : candidate.input.estimated_latency->p50_us));
}

std::string drop_objection(const Candidate& candidate,
                           const std::optional<double>& max_drop) {
  if (!max_drop) return "";
  const auto drop = accuracy_drop(candidate.score, candidate.input);
  if (!drop)
    return "max_drop cannot be judged: it needs labels or class scores";
  // Accuracies are counts over samples: a rounding error decides nothing.
  if (*drop <= *max_drop + 1e-9) return "";
  const bool top1 =
      candidate.score.accuracy->top1 && candidate.input.accuracy->top1;
  return fmt::format("{} drops by {:.2f} points, max_drop allows {:.2f}",
                     top1 ? "top-1" : "agreement with the input model",
                     *drop * 100, *max_drop * 100);
}

GateResult judge(const GateSpec& gate, const Candidate& candidate) {
  const GateRow& row = *find_gate(gate.name);
  GateResult result{gate.name, "variants/" + candidate.file_name, gate.value,
                    row.figure(candidate.score), false};
  if (result.value)
    result.passed = row.is_minimum() ? *result.value >= gate.value
                                     : *result.value <= gate.value;
  return result;
}

std::string gate_reason(const GateResult& gate) {
  if (!gate.value)
    return fmt::format("gate {} cannot be judged: the figure does not exist",
                       gate.name);
  return fmt::format("gate {} is {}, the variant has {}", gate.name, gate.bound,
                     *gate.value);
}

std::string target_reason(const Candidate& candidate, const Target& target) {
  const StageScore& score = candidate.score;
  const bool measured = score.measured_latency.has_value();
  if (!measured && !score.estimated_latency)
    return "there is no latency to judge it by, measured or estimated";
  const double input = measured ? candidate.input.measured_latency->median_us
                                : candidate.input.estimated_latency->p95_us;
  return fmt::format("{} {}, target {} is {}",
                     measured ? "measured" : "estimated (p95)",
                     latency_text(score, measured), target.text,
                     format_latency_us(target.limit_us(input)));
}

bool as_accurate(const StageScore& score, const StageScore& other,
                 const StageScore& input) {
  const auto drop = accuracy_drop(score, input);
  const auto other_drop = accuracy_drop(other, input);
  return drop && other_drop && *drop <= *other_drop + 1e-9;
}

std::optional<double> relative_time(const StageScore& score,
                                    const std::optional<double>& measured_ratio,
                                    const StageScore& input) {
  if (measured_ratio) return measured_ratio;
  if (!score.estimated_latency || !input.estimated_latency ||
      input.estimated_latency->p50_us <= 0)
    return std::nullopt;
  return score.estimated_latency->p50_us / input.estimated_latency->p50_us;
}

}  // namespace lathe::recipes
