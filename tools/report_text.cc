#include "tools/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <system_error>

#include "passes/base/text.h"
#include "tools/output.h"
#include "tools/plan_text.h"

namespace lathe::cli {
namespace {

using recipes::StageReport;

std::string percent(std::optional<double> fraction) {
  return fraction ? fmt::format("{:.2f}%", 100 * *fraction) : "";
}

std::string number(std::optional<double> perplexity) {
  return perplexity ? format_perplexity(*perplexity) : "";
}

std::string estimated(const StageScore& score) {
  if (!score.estimated_latency) return "";
  return format_latency_us(score.estimated_latency->p50_us);
}

std::string measured(const StageScore& score) {
  if (!score.measured_latency) return "";
  return format_latency_us(score.measured_latency->median_us) +
         (score.measured_latency->noisy ? " noisy" : "");
}

// Measured where it was, else estimated with a "~".
std::string ratio(const StageScore& score, std::optional<double> measured_ratio,
                  const StageScore& input) {
  if (measured_ratio) return fmt::format("{:.2f}x", *measured_ratio);
  if (!score.estimated_latency || !input.estimated_latency ||
      !(input.estimated_latency->p50_us > 0))
    return "";
  return fmt::format("~{:.2f}x", score.estimated_latency->p50_us /
                                     input.estimated_latency->p50_us);
}

std::optional<double> top1(const StageScore& score) {
  return score.accuracy ? score.accuracy->top1 : std::nullopt;
}

std::optional<double> agreement(const StageScore& score) {
  return score.accuracy ? score.accuracy->agreement : std::nullopt;
}

std::optional<double> perplexity(const StageScore& score) {
  return score.accuracy ? score.accuracy->perplexity : std::nullopt;
}

std::string stage_table(const recipes::Report& report) {
  const auto any = [&](auto&& has) {
    return std::any_of(report.stages.begin(), report.stages.end(),
                       [&](const StageReport& one) { return has(one.score); });
  };
  const bool has_top1 = any([](const auto& s) { return bool(top1(s)); });
  const bool has_agreement =
      any([](const auto& s) { return bool(agreement(s)); });
  const bool has_perplexity =
      any([](const auto& s) { return bool(perplexity(s)); });
  std::vector<std::string> header{"stage", "estimated", "measured", "ratio",
                                  "size",  "MACs",      "params"};
  if (has_top1) header.push_back("top-1");
  if (has_perplexity) header.push_back("perplexity");
  if (has_agreement) header.push_back("agreement");
  Table table(header);
  for (const StageReport& stage : report.stages) {
    const StageScore& score = stage.score;
    std::vector<std::string> row{
        stage.name,
        estimated(score),
        measured(score),
        ratio(score, stage.measured_ratio, report.stages.front().score),
        format_bytes(score.size_bytes),
        score.macs ? format_count(*score.macs) : "",
        format_count(score.parameters)};
    if (has_top1) row.push_back(percent(top1(score)));
    if (has_perplexity) row.push_back(number(perplexity(score)));
    if (has_agreement) row.push_back(percent(agreement(score)));
    table.add(std::move(row));
  }
  return table.text();
}

std::string plan_tables(const recipes::Report& report) {
  std::string text;
  for (const StageReport& stage : report.stages) text += plan_table(stage);
  return text;
}

std::string target_prefix(const std::string& target) {
  return target.empty() ? "" : target + ": ";
}

std::string variant_lines(const recipes::Report& report,
                          const std::filesystem::path& folder) {
  std::string text;
  for (const recipes::VariantReport& variant : report.variants) {
    text += "\n" + (folder / variant.path).string() + "\n";
    std::string verdict = "written";
    if (variant.met == recipes::Met::kMeasured) verdict = "met, measured";
    if (variant.met == recipes::Met::kEstimated)
      verdict = "met by the estimate, not measured";
    if (variant.met == recipes::Met::kNo && !variant.reason.empty())
      verdict = "missed: " + variant.reason;
    text += "  " + target_prefix(variant.target) + verdict;
    const std::string figure = measured(variant.score);
    if (!figure.empty()) text += ", " + figure;
    if (variant.measured_ratio)
      text += fmt::format(" ({:.2f}x)", *variant.measured_ratio);
    text += ", " + format_bytes(variant.score.size_bytes);
    if (top1(variant.score))
      text += ", top-1 " + percent(top1(variant.score));
    else if (perplexity(variant.score))
      text += ", perplexity " + number(perplexity(variant.score));
    else if (agreement(variant.score))
      text += ", agreement " + percent(agreement(variant.score));
    text += "\n";
  }
  for (const recipes::RejectedVariant& rejected : report.rejected)
    text += fmt::format(
        "\nnot delivered: {}{}{}\n", target_prefix(rejected.target),
        rejected.stage.empty() ? "" : rejected.stage + ": ", rejected.reason);
  return text;
}

std::string gate_lines(const recipes::Report& report) {
  std::string text;
  for (const recipes::GateResult& gate : report.gates)
    text += fmt::format("gate {} {:g}: {}{}\n", gate.name, gate.bound,
                        gate.passed ? "passed" : "missed",
                        gate.value ? fmt::format(" ({:g})", *gate.value)
                                   : " (there is no such figure)");
  return text.empty() ? "" : "\n" + text;
}

// What the last stage scored against the input model; empty where it was not
// scored.
std::string score_line(const recipes::Report& report) {
  const StageReport& last = report.stages.back();
  const StageScore& input = report.stages.front().score;
  std::vector<std::string> parts;
  if (!measured(last.score).empty())
    parts.push_back("measured " + measured(last.score));
  else if (!estimated(last.score).empty())
    parts.push_back("estimated " + estimated(last.score));
  if (const std::string share = ratio(last.score, last.measured_ratio, input);
      !share.empty())
    parts.push_back(share + " of the input model");
  if (top1(last.score))
    parts.push_back(fmt::format("top-1 {}, before {}",
                                percent(top1(last.score)),
                                percent(top1(input))));
  else if (agreement(last.score))
    parts.push_back("agreement " + percent(agreement(last.score)));
  return parts.empty() ? "" : "  " + join(parts, ", ") + "\n";
}

std::string fidelity_lines(const Accuracy& accuracy) {
  std::string text;
  for (const OutputFidelity& output : accuracy.outputs)
    text += fmt::format(
        "  output '{}': {:.1f} dB of signal to noise on {} "
        "sample{}\n",
        output.name, output.sqnr_db, accuracy.samples,
        accuracy.samples == 1 ? "" : "s");
  return text;
}

std::string note_lines(const recipes::Report& report) {
  std::string text;
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  size_t remarks = 0;
  for (const StageReport& stage : report.stages)
    remarks += stage.remarks.size();
  if (remarks > 0)
    text += fmt::format(
        "note: {} remark{} on what was left as it is; -v lists them\n", remarks,
        remarks == 1 ? "" : "s");
  return text.empty() ? "" : "\n" + text;
}

}  // namespace

std::string report_text(const recipes::Report& report,
                        const std::filesystem::path& folder) {
  return stage_table(report) + plan_tables(report) +
         variant_lines(report, folder) + gate_lines(report) +
         note_lines(report) + "\nreport: " + (folder / "report.json").string() +
         "\n";
}

std::string file_text(const recipes::Report& report,
                      const std::filesystem::path& file) {
  std::string text = file.string();
  if (!report.outputs.empty())
    text += ": " + format_bytes(report.outputs.back().size_bytes);
  std::error_code failed;
  const uint64_t before = std::filesystem::file_size(
      report.recipe.resolve(report.recipe.model), failed);
  if (!failed) text += ", from " + format_bytes(before);
  text += "\n";
  for (const StageReport& stage : report.stages) {
    if (stage.pass.empty()) continue;
    text +=
        fmt::format("  {}: {} change{}, {} remark{}\n", stage.name,
                    stage.changes, stage.changes == 1 ? "" : "s",
                    stage.remarks.size(), stage.remarks.size() == 1 ? "" : "s");
  }
  if (!report.stages.empty()) {
    text += score_line(report);
    if (const auto& accuracy = report.stages.back().score.accuracy)
      text += fidelity_lines(*accuracy);
  }
  return text + plan_tables(report) + note_lines(report);
}

}  // namespace lathe::cli
