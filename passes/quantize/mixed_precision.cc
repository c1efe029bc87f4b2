// Mixed precision by Lagrangian relaxation.
//
//   min  latency(labels)   subject to   sum of noise over integer nodes <= N
//
// The noise that a layer adds to the outputs when it alone is quantized is
// measured; small independent errors add up in power, so the noise of several
// is taken to be the sum (HAWQ-V3 uses a second-order estimate in its place).
// For a multiplier m, latency + m * noise is a minimum cut (placement.h),
// exact; the multipliers at which it changes give the lower convex hull of all
// assignments, and with it a lower bound. Where all layers are about equally
// sensitive the hull has few corners, so three walks fill it, from the fastest
// assignment to float: the layer next that takes most noise away for the
// microseconds (which grows regions, because borders are paid), and layer by
// layer from either end of the graph. What no other beats in noise and in
// latency (of the whole graph) is tried: by bisection on the evaluator's
// samples where the budget is one of accuracy. The distance to the hull is
// stated as the gap.
#include "passes/quantize/mixed_precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "passes/base/error.h"
#include "passes/evaluator.h"
#include "passes/quantize/precision_frontier.h"
#include "passes/quantize/sensitivity.h"

namespace lathe::quantize {
namespace {

// Stands for an infinite noise, so that sums stay numbers.
constexpr double kMostNoise = 1e6;

bool has_numbers(const Placement& placement, size_t node) {
  return placement.all()[node] && (placement.role(node) == Role::kCompute ||
                                   placement.role(node) == Role::kArithmetic);
}

class Solver {
 public:
  Solver(Placement& placement, const PrecisionBudget& budget,
         const ir::Model& reference,
         const std::function<ir::Model(const Labels&)>& build,
         const PassContext& context)
      : placement_(placement),
        budget_(budget),
        reference_(reference),
        build_(build),
        context_(context) {}

  PrecisionPlan run() {
    if ((budget_.max_drop || budget_.min_sqnr_db) && !context_.evaluator)
      throw Error(ErrorKind::kUsage, "quantize_static",
                  "a budget of accuracy needs samples to score on",
                  "give data with --data");
    measure_noise();
    frontier_.emplace(placement_, plan_.noise, layers_, context_);
    if (budget_.latency_limit_us)
      choose_within_latency();
    else
      choose_within_accuracy();
    return std::move(plan_);
  }

 private:
  void measure_noise() {
    for (size_t i = 0; i < placement_.nodes().size(); ++i)
      if (has_numbers(placement_, i)) layers_.push_back(i);
    const OutputNoise output(reference_, budget_.samples, context_);
    plan_.noise.assign(placement_.nodes().size(), 0);
    context_.progress->begin("sensitivity", layers_.size());
    for (size_t i : layers_) {
      context_.check_cancelled();
      plan_.noise[i] =
          std::min(output.of(build_(placement_.alone(i))), kMostNoise);
      context_.progress->advance(1);
    }
    context_.progress->end();
  }

  const Accuracy& accuracy(const Labels& labels) {
    const auto [entry, added] = measured_.try_emplace(labels);
    if (added) {
      context_.check_cancelled();
      entry->second = context_.evaluator->evaluate(
          is_float(labels) ? ir::clone(reference_) : build_(labels));
    }
    return entry->second;
  }

  std::optional<double> drop(const Labels& labels) {
    const Accuracy& found = accuracy(labels);
    if (found.top1) {
      const Accuracy& before = accuracy(placement_.none());
      if (before.top1) return *before.top1 - *found.top1;
    }
    if (found.agreement) return 1 - *found.agreement;
    return std::nullopt;
  }

  bool keeps_accuracy(const Labels& labels) {
    if (is_float(labels)) return true;
    if (budget_.min_sqnr_db)
      for (const OutputFidelity& output : accuracy(labels).outputs)
        if (!(output.sqnr_db >= *budget_.min_sqnr_db)) return false;
    if (!budget_.max_drop) return true;
    const std::optional<double> lost = drop(labels);
    if (!lost)
      throw Error(ErrorKind::kUsage, "quantize_static",
                  "a largest drop of accuracy needs labels or class scores, "
                  "and the model has neither",
                  "give a least signal to noise instead (min_sqnr_db)");
    // Accuracies are counts over samples: a rounding error decides nothing.
    return *lost <= *budget_.max_drop + 1e-9;
  }

  void choose_within_accuracy() {
    // The last one is float.
    size_t low = 0, high = frontier_->points().size() - 1;
    while (low < high) {
      const size_t middle = low == 0 && high == frontier_->points().size() - 1
                                ? 0  // mostly the fastest is good enough
                                : (low + high) / 2;
      if (keeps_accuracy(frontier_->points()[middle].labels))
        high = middle;
      else
        low = middle + 1;
    }
    const PrecisionPoint& chosen = frontier_->points()[high];
    plan_.labels = chosen.labels;
    state(chosen,
          fmt::format("no assignment of as little noise is faster by more than "
                      "{:.1f} us",
                      std::max(0.0, chosen.modelled_us -
                                        frontier_->bound_us(chosen.noise))));
  }

  void choose_within_latency() {
    const double limit =
        budget_.latency_limit_us(frontier_->points().back().latency_us);
    size_t best = 0;
    for (size_t i = 0; i < frontier_->points().size(); ++i)
      if (frontier_->points()[i].latency_us <= limit) best = i;
    const PrecisionPoint& chosen = frontier_->points()[best];
    plan_.labels = chosen.labels;
    if (chosen.latency_us > limit)
      plan_.remarks.push_back(
          {"", fmt::format("the latency limit of {:.1f} us is out of reach: "
                           "the fastest assignment of precisions takes {:.1f} "
                           "us by the estimate",
                           limit, chosen.latency_us)});
    if (!keeps_accuracy(chosen.labels))
      plan_.remarks.push_back(
          {"", "within the latency limit the budget of accuracy is not kept"});
    std::string gap = fmt::format(
        "the outputs have {:.1f} dB of signal to noise by the sum "
        "over layers",
        sqnr_db(chosen.noise));
    if (const double bound = frontier_->bound_noise(chosen.modelled_us);
        bound > 0)
      gap += fmt::format(", and no assignment as fast has more than {:.1f} dB",
                         sqnr_db(std::min(chosen.noise, bound)));
    state(chosen, gap);
  }

  void state(const PrecisionPoint& chosen, const std::string& gap) {
    plan_.remarks.push_back(
        {"", fmt::format("{} of {} layers stay in float for the budget: {:.1f} "
                         "us by the estimate, {:.1f} us with all that pay, "
                         "{:.1f} us in float; {}",
                         stay(chosen), layers(), chosen.latency_us,
                         frontier_->points().front().latency_us,
                         frontier_->points().back().latency_us, gap)});
  }

  int64_t layers() const {
    int64_t count = 0;
    for (size_t i : layers_) count += frontier_->points().front().labels[i];
    return count;
  }
  int64_t stay(const PrecisionPoint& chosen) const {
    int64_t count = 0;
    for (size_t i : layers_)
      count += frontier_->points().front().labels[i] && !chosen.labels[i];
    return count;
  }

  Placement& placement_;
  const PrecisionBudget& budget_;
  const ir::Model& reference_;
  const std::function<ir::Model(const Labels&)>& build_;
  const PassContext& context_;
  PrecisionPlan plan_;
  std::vector<size_t> layers_;  // nodes that have numbers of their own
  std::optional<PrecisionFrontier> frontier_;
  std::map<Labels, Accuracy> measured_;
};

}  // namespace

PrecisionPlan plan_precision(
    Placement& placement, const PrecisionBudget& budget,
    const ir::Model& reference,
    const std::function<ir::Model(const Labels&)>& build,
    const PassContext& context) {
  if (budget.given())
    return Solver(placement, budget, reference, build, context).run();
  PrecisionPlan plan;
  plan.labels = placement.fastest();
  return plan;
}

std::vector<LayerDecision> layer_decisions(Placement& placement,
                                           const PrecisionPlan& plan,
                                           const LatencyModel& latency) {
  const Labels fastest = plan.noise.empty() ? plan.labels : placement.fastest();
  std::vector<LayerDecision> decisions;
  for (size_t i = 0; i < placement.nodes().size(); ++i) {
    if (!has_numbers(placement, i)) continue;
    const ir::Node& node = *placement.nodes()[i];
    const NodeCost& cost = placement.costs()[i];
    LayerDecision decision;
    decision.node = node.id();
    decision.op_type = node.op_type;
    decision.precision = plan.labels[i] ? "int8" : "float";
    if (!plan.noise.empty()) decision.sqnr_db = sqnr_db(plan.noise[i]);
    decision.saved_us = cost.float_us - cost.int8_us;
    const std::string times =
        fmt::format("{:.1f} us in float, {:.1f} us as an integer kernel on {}",
                    cost.float_us, cost.int8_us, latency.device());
    if (plan.labels[i])
      decision.reason = "it pays, or lies between layers that do: " + times;
    else if (fastest[i])
      decision.reason = "it stays in float for the budget: " + times;
    else
      decision.reason = "it does not pay, its borders counted: " + times;
    decisions.push_back(std::move(decision));
  }
  return decisions;
}

}  // namespace lathe::quantize
