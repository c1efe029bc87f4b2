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
#include "recipes/candidate.h"
#include "recipes/manifest.h"
#include "recipes/pass_table.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;

class Chooser {
 public:
  Chooser(const DeliveryContext& context, Report& report)
      : context_(context), report_(report) {}

  // Returns whether the target is met.
  bool choose(const Target& target, bool implied) {
    std::vector<Passed> passed_over;
    std::optional<size_t> fallback;
    bool met = false;
    // Without a target of its own, the input model is no result.
    const size_t first = implied ? 1 : 0;
    for (size_t stage = context_.models.size(); !met && stage-- > first;) {
      if (repeats(stage)) continue;
      const std::string reason = objection(check(stage), target);
      met = reason.empty();
      if (met) {
        const size_t best = fastest(stage, [&](size_t other) {
          return objection(check(other), target).empty();
        });
        if (best != stage)
          passed_over.push_back({stage, outrun_reason(stage, best)});
        deliver(best, target, "");
      } else {
        passed_over.push_back({stage, reason});
        if (!fallback && is_fallback(stage)) fallback = stage;
      }
    }
    if (!met && fallback) {
      fallback =
          fastest(*fallback, [&](size_t other) { return is_fallback(other); });
      deliver(*fallback, target, objection(check(*fallback), target));
    }
    for (const Passed& passed : passed_over)
      if (met || !fallback || passed.stage != *fallback)
        reject(passed.stage, target, passed.reason);
    return met;
  }

 private:
  struct Passed {
    size_t stage;
    std::string reason;
  };

  // The stage's pass changed nothing: its model is the one before, which serves
  // as well.
  bool repeats(size_t stage) const {
    return stage > 1 && report_.stages[stage].changes == 0;
  }

  // Can be delivered with its target missed.
  bool is_fallback(size_t stage) {
    const Candidate& candidate = check(stage);
    return stage > 0 && candidate.problem.empty() && !candidate.slower;
  }

  // Of the stages that `serves` accepts and that are as accurate as `deepest`,
  // the fastest; a later stage is kept where noise could be the difference.
  template <class Serves>
  size_t fastest(size_t deepest, const Serves& serves) {
    size_t best = deepest;
    const auto& stages = report_.stages;
    const auto faster = [](std::optional<double> a, std::optional<double> b) {
      return a && b && *a * kNoiseAllowance < *b;
    };
    const auto scored_time = [&](size_t stage) {
      return relative_time(stages[stage].score, stages[stage].measured_ratio,
                           stages[0].score);
    };
    for (size_t stage = deepest; stage-- > 1;)
      if (!repeats(stage) &&
          as_accurate(stages[stage].score, stages[best].score,
                      stages[0].score) &&
          faster(scored_time(stage), scored_time(best)) && serves(stage) &&
          faster(time_of(stage), time_of(best)))
        best = stage;
    return best;
  }

  std::optional<double> time_of(size_t stage) {
    const Candidate& candidate = check(stage);
    return relative_time(candidate.score, candidate.measured_ratio,
                         candidate.input);
  }

  std::string outrun_reason(size_t stage, size_t by) {
    return fmt::format(
        "slower than stage '{}', which is as accurate: {:.2f} times the input "
        "model's latency against {:.2f}",
        report_.stages[by].name, *time_of(stage), *time_of(by));
  }

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

  // "<model>-int8.onnx": what the stages that changed something add.
  std::string file_name(size_t stage) {
    std::string name = fs::path(context_.recipe.model).stem().string();
    std::vector<std::string> labels;
    for (size_t i = 1; i <= stage; ++i) {
      const std::string label = find_pass(report_.stages[i].pass)->label;
      if (!label.empty() && report_.stages[i].changes > 0 &&
          std::ranges::find(labels, label) == labels.end())
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
    if (std::string reason =
            drop_objection(candidate, context_.recipe.max_drop);
        !reason.empty())
      return reason;
    for (const GateSpec& gate : context_.recipe.gates) {
      const GateResult result = judge(gate, candidate);
      if (!result.passed) return gate_reason(result);
    }
    if (meets(target, candidate.score, candidate.input) != Met::kNo) return "";
    return target_reason(candidate, target);
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

// Runtimes name the nodes that they make after those they replace: two without
// a name are refused by ONNX Runtime 1.21 ("two nodes with same node name").
// Node::id() stays the same.
void name_nodes(ir::Model& model) {
  std::set<std::string> names;
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes()) names.insert(node->name);
  });
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes())
      if (node->name.empty() && names.insert(node->id()).second)
        node->name = node->id();
  });
}

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
  ir::Model named = ir::clone(model);
  name_nodes(named);
  io::export_onnx(named, file);
  latency::SessionOptions options;
  options.threads = 1;  // sums in one order: equal models, equal bits
  try {
    const auto from_file = latency::Session::open(file, options);
    if (inputs.empty()) return "";
    const auto in_memory = latency::Session::open(model, options);
    const NamedTensors fitted = latency::fit_types(*from_file, inputs);
    return compare_outputs(from_file->run(fitted), in_memory->run(fitted));
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
