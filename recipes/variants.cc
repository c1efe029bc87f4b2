#include "recipes/variants.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/hash.h"
#include "passes/base/text.h"
#include "passes/io/onnx/onnx.h"
#include "recipes/gate_table.h"
#include "recipes/manifest.h"
#include "recipes/pass_table.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;

// A stage's model as a file that was checked and measured, or why it is none.
struct Candidate {
  std::string problem;  // not empty: cannot be delivered at all
  bool slower = false;
  std::string file_name, sha256;
  StageScore score, input;  // measured together
  std::optional<double> measured_ratio;
};

std::string latency_text(const StageScore& score, bool measured) {
  return format_latency_us(measured ? score.measured_latency->median_us
                                    : score.estimated_latency->p95_us);
}

class Chooser {
 public:
  Chooser(const DeliveryContext& context, Report& report)
      : context_(context), report_(report) {}

  // Returns whether the target is met.
  bool choose(const Target& target, bool implied) {
    struct Passed {
      size_t stage;
      std::string reason;
    };
    std::vector<Passed> passed_over;
    std::optional<Passed> fallback;
    bool met = false;
    // Without a target of its own, the input model is no result.
    const size_t first = implied ? 1 : 0;
    for (size_t stage = context_.models.size(); !met && stage-- > first;) {
      const Candidate& candidate = check(stage);
      const std::string reason = objection(candidate, target);
      met = reason.empty();
      if (met)
        deliver(stage, target, "");
      else
        passed_over.push_back({stage, reason});
      if (!met && !fallback && stage > 0 && candidate.problem.empty() &&
          !candidate.slower)
        fallback = passed_over.back();
    }
    if (!met && fallback) deliver(fallback->stage, target, fallback->reason);
    for (const Passed& passed : passed_over)
      if (met || !fallback || passed.stage != fallback->stage)
        reject(passed.stage, target, passed.reason);
    return met;
  }

 private:
  const Candidate& check(size_t stage) {
    const auto [entry, added] = candidates_.try_emplace(stage);
    if (added) entry->second = make(stage);
    return entry->second;
  }

  Candidate make(size_t stage) {
    context_.check_cancelled();
    Candidate candidate;
    candidate.file_name = file_name(stage);
    const fs::path folder =
        context_.scratch.folder("variant-" + candidate.file_name);
    const fs::path file = folder / candidate.file_name;
    candidate.problem =
        write_checked(context_.models[stage], file, context_.inputs);
    if (!candidate.problem.empty()) return candidate;
    candidate.sha256 = sha256_file(file);
    candidate.input = report_.stages[0].score;
    candidate.score = report_.stages[stage].score;
    candidate.score.size_bytes = folder_bytes(folder);
    auto pair = context_.scorer->measure_pair(file);
    // Once more where the first was disturbed, whatever it said.
    if (pair && (pair->first.noisy || pair->second.noisy))
      pair = context_.scorer->measure_pair(file);
    if (pair) {
      candidate.input.measured_latency = pair->first;
      candidate.score.measured_latency = pair->second;
      candidate.measured_ratio = pair->second.median_us / pair->first.median_us;
    }
    candidate.slower = stage > 0 && slower(candidate.score, candidate.input);
    return candidate;
  }

  void reject(size_t stage, const Target& target, const std::string& reason) {
    const Candidate& candidate = check(stage);
    RejectedVariant rejected;
    rejected.stage = report_.stages[stage].name;
    rejected.target = target.text;
    rejected.reason = reason;
    if (candidate.problem.empty()) rejected.score = candidate.score;
    rejected.slower = candidate.slower;
    report_.rejected.push_back(std::move(rejected));
  }

  // "<model>-int8.onnx": what the stages so far add to the name.
  std::string file_name(size_t stage) {
    std::string name = fs::path(context_.recipe.model).stem().string();
    std::vector<std::string> labels;
    for (size_t i = 1; i <= stage; ++i) {
      const std::string label = find_pass(report_.stages[i].pass)->label;
      if (!label.empty() &&
          std::find(labels.begin(), labels.end(), label) == labels.end())
        labels.push_back(label);
    }
    if (labels.empty() && stage > 0) labels.push_back("simplified");
    for (const std::string& label : labels) name += "-" + label;
    if (!names_.insert(name).second) name += fmt::format("-stage{}", stage);
    return name + ".onnx";
  }

  // Why the candidate does not serve the target; empty when it does.
  std::string objection(const Candidate& candidate, const Target& target) {
    if (!candidate.problem.empty()) return candidate.problem;
    if (candidate.slower) return slower_reason(candidate);
    if (std::string reason = drop_objection(candidate); !reason.empty())
      return reason;
    for (const GateSpec& gate : context_.recipe.gates) {
      const GateResult result = judge(gate, candidate);
      if (!result.passed) return gate_reason(result);
    }
    if (meets(target, candidate.score, candidate.input) != Met::kNo) return "";
    return target_reason(candidate, target);
  }

  static std::string slower_reason(const Candidate& candidate) {
    const bool measured = candidate.score.measured_latency.has_value();
    return fmt::format(
        "slower than the input model: {} {} against {}",
        measured ? "measured" : "estimated",
        format_latency_us(measured ? candidate.score.measured_latency->median_us
                                   : candidate.score.estimated_latency->p50_us),
        format_latency_us(measured
                              ? candidate.input.measured_latency->median_us
                              : candidate.input.estimated_latency->p50_us));
  }

  std::string drop_objection(const Candidate& candidate) const {
    if (!context_.recipe.max_drop) return "";
    const auto drop = accuracy_drop(candidate.score, candidate.input);
    if (!drop)
      return "max_drop cannot be judged: it needs labels or class scores";
    // Accuracies are counts over samples: a rounding error decides nothing.
    if (*drop <= *context_.recipe.max_drop + 1e-9) return "";
    const bool top1 =
        candidate.score.accuracy->top1 && candidate.input.accuracy->top1;
    return fmt::format("{} drops by {:.2f} points, max_drop allows {:.2f}",
                       top1 ? "top-1" : "agreement with the input model",
                       *drop * 100, *context_.recipe.max_drop * 100);
  }

  static GateResult judge(const GateSpec& gate, const Candidate& candidate) {
    const GateRow& row = *find_gate(gate.name);
    GateResult result{gate.name, "variants/" + candidate.file_name, gate.value,
                      row.figure(candidate.score), false};
    if (result.value)
      result.passed = row.is_minimum() ? *result.value >= gate.value
                                       : *result.value <= gate.value;
    return result;
  }

  static std::string gate_reason(const GateResult& gate) {
    if (!gate.value)
      return fmt::format("gate {} cannot be judged: the figure does not exist",
                         gate.name);
    return fmt::format("gate {} is {}, the variant has {}", gate.name,
                       gate.bound, *gate.value);
  }

  static std::string target_reason(const Candidate& candidate,
                                   const Target& target) {
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

  void deliver(size_t stage, const Target& target, const std::string& reason) {
    const Candidate& candidate = check(stage);
    VariantReport variant;
    variant.path = "variants/" + candidate.file_name;
    variant.sha256 = candidate.sha256;
    variant.stage = report_.stages[stage].name;
    variant.target = target.text;
    variant.score = candidate.score;
    variant.measured_ratio = candidate.measured_ratio;
    if (reason.empty())
      variant.met = meets(target, candidate.score, candidate.input);
    variant.reason = reason;
    report_.variants.push_back(std::move(variant));
    for (const GateSpec& gate : context_.recipe.gates) {
      const GateResult result = judge(gate, candidate);
      const auto same = [&](const GateResult& other) {
        return other.name == result.name && other.variant == result.variant;
      };
      if (std::none_of(report_.gates.begin(), report_.gates.end(), same))
        report_.gates.push_back(result);
    }
  }

  const DeliveryContext& context_;
  Report& report_;
  std::map<size_t, Candidate> candidates_;
  std::set<std::string> names_;
};

std::string compare_outputs(const std::vector<ir::Tensor>& file,
                            const std::vector<ir::Tensor>& memory) {
  if (file.size() != memory.size())
    return fmt::format("the file has {} outputs, the stage {}", file.size(),
                       memory.size());
  for (size_t i = 0; i < file.size(); ++i)
    if (!file[i].identical(memory[i]))
      return fmt::format("output {} of the file differs from the stage's", i);
  return "";
}

}  // namespace

std::string write_checked(const ir::Model& model, const fs::path& file,
                          const NamedTensors& inputs) {
  io::export_onnx(model, file);
  latency::SessionOptions options;
  options.threads = 1;  // sums in one order: equal models, equal bits
  try {
    const auto from_file = latency::Session::open(file, options);
    if (inputs.empty()) return "";
    const auto in_memory = latency::Session::open(model, options);
    return compare_outputs(from_file->run(inputs), in_memory->run(inputs));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    return error.message();
  }
}

void choose_variants(const DeliveryContext& context, Report& report) {
  Chooser chooser(context, report);
  std::vector<Target> targets = context.recipe.latency_targets;
  const bool implied = targets.empty();
  if (implied) targets.push_back(parse_target("1x", "target"));
  bool all_met = true;
  for (const Target& target : targets)
    all_met = chooser.choose(target, implied) && all_met;
  report.exit_code = all_met ? 0 : 3;
}

void deliver_variants(const Report& report, const Scratch& scratch,
                      const fs::path& folder) {
  const fs::path target = folder / "variants";
  fs::create_directories(target);
  std::set<std::string> delivered;
  for (const VariantReport& variant : report.variants) {
    const std::string name = fs::path(variant.path).filename().string();
    if (delivered.insert(name).second)
      move_files(scratch.path() / ("variant-" + name), target);
  }
  for (const std::string& name : earlier_variants(folder)) {
    std::error_code ignored;
    if (!delivered.contains(name) &&
        !delivered.contains(
            fs::path(name).stem().string()))  // "<model>.onnx.data"
      fs::remove(target / name, ignored);
  }
}

}  // namespace lathe::recipes
