// before: Conv [64, 3, 7, 7] -> … -> Gemm [1000, 512]
// after:  the same graph with fewer channels, heads and features, and without
//         the residual blocks that went
// Minimises the saliency that is lost, subject to an estimated latency within
// the limit. What is removed is counted on the dense model, however many
// iterations there are; weights are those of the last repair.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "passes/base/error.h"
#include "passes/base/json.h"
#include "passes/base/text.h"
#include "passes/latency_model.h"
#include "passes/prune/carried_selection.h"
#include "passes/prune/form_price.h"
#include "passes/prune/group_choice.h"
#include "passes/prune/plain_constants.h"
#include "passes/prune/prune.h"
#include "passes/prune/repair.h"
#include "passes/prune/width_search.h"

namespace lathe::prune {
namespace {

class Pruner final : public Pass {
 public:
  explicit Pruner(PruneOptions options) : options_(std::move(options)) {}
  std::string name() const override { return "prune_channels"; }
  PassResult run(ir::Model& model, PassContext& context) override;

 private:
  void require(const PassContext& context) const;
  GroupChoice choice() const { return {options_.keep, options_.rescaling}; }
  UnitLoss saliency(const ir::Model& model, const ChannelGroups& groups,
                    PassContext& context) const;
  SolverOptions solver_options(const ChannelGroups& groups,
                               const PassContext& context) const;
  FoundWidths iterate(const ir::Model& dense, const ChannelGroups& groups,
                      double limit_us, ir::Model& model, PassContext& context,
                      PassResult& result) const;
  void apply(const ir::Model& dense, const ChannelGroups& groups,
             const Plan& plan, ir::Model& model, PassContext& context,
             PassResult& result) const;
  std::string plan_text(const FoundWidths& outcome, const ChannelGroups& groups,
                        const LatencyEstimate& before, const ir::Model& model,
                        double limit_us, const PassContext& context) const;

  PruneOptions options_;
};

void Pruner::require(const PassContext& context) const {
  if (!options_.latency_limit_us && options_.plan.empty())
    throw Error(ErrorKind::kUsage, name(),
                "found neither latency_limit nor plan, expected one of them");
  if (options_.latency_limit_us && !options_.plan.empty())
    throw Error(ErrorKind::kUsage, name(),
                "found latency_limit and plan, expected one of them");
  if (options_.latency_limit_us && !context.latency)
    throw Error(ErrorKind::kUsage, name(),
                "a latency_limit needs a latency model, and the run has none");
}

UnitLoss Pruner::saliency(const ir::Model& model, const ChannelGroups& groups,
                          PassContext& context) const {
  return measure_saliency(model, groups, options_.saliency, options_.samples,
                          context);
}

SolverOptions Pruner::solver_options(const ChannelGroups& groups,
                                     const PassContext& context) const {
  SolverOptions made;
  made.max_ratio = options_.max_ratio;
  made.min_units = options_.min_units;
  for (const ChannelGroup& group : groups.groups())
    made.frozen.push_back(choice().stays_whole(group));
  made.blocks = options_.blocks;
  made.jobs = context.jobs;
  return made;
}

// Saliency, solver, surgery and repair, from latency to latency.
FoundWidths Pruner::iterate(const ir::Model& dense, const ChannelGroups& groups,
                            double limit_us, ir::Model& model,
                            PassContext& context, PassResult& result) const {
  const FormPrice price(options_, context);
  const double dense_us = price.us(dense);
  FoundWidths total{{groups.everything(), {}}, 0, dense_us};
  PassResult repaired;
  for (int64_t i = 1; i <= options_.iterations; ++i) {
    const double share =
        static_cast<double>(i) / static_cast<double>(options_.iterations);
    const double target = dense_us * std::pow(limit_us / dense_us, share);
    if (total.us <= target) continue;
    const ChannelGroups now(model, context.input_shapes);
    const FoundWidths step = search_widths(
        model, now, saliency(model, now, context), solver_options(now, context),
        price, total.us, target, context);
    total.plan.selection = carried_selection(
        dense, groups, total.plan.selection, now, step.plan.selection);
    total.plan.blocks.insert(total.plan.blocks.end(), step.plan.blocks.begin(),
                             step.plan.blocks.end());
    total.loss += step.loss;
    total.us = step.us;
    repaired = {};
    apply(dense, groups, total.plan, model, context, repaired);
  }
  result.add(std::move(repaired));
  return total;
}

// The dense model without what goes, repaired.
void Pruner::apply(const ir::Model& dense, const ChannelGroups& groups,
                   const Plan& plan, ir::Model& model, PassContext& context,
                   PassResult& result) const {
  model = ir::clone(dense);
  if (options_.mask) {
    if (!plan.blocks.empty())
      throw Error(ErrorKind::kUsage, name(), "whole blocks cannot be masked",
                  "set blocks to false");
    return mask(model, groups, plan.selection);
  }
  remove_blocks(model, plan.blocks);
  shrink(model, groups, plan.selection);
  if (!options_.repair) return;
  if (!context.data) {
    result.remarks.push_back({"", "not repaired: no data is given"});
    return;
  }
  RepairOptions repair_options;
  if (options_.samples > 0) repair_options.samples = options_.samples;
  result.add(
      repair(model, dense, groups, plan.selection, repair_options, context));
}

std::string Pruner::plan_text(const FoundWidths& outcome,
                              const ChannelGroups& groups,
                              const LatencyEstimate& before,
                              const ir::Model& model, double limit_us,
                              const PassContext& context) const {
  Json plan = Json::parse(write_plan(outcome.plan, groups));
  if (!context.latency) return format_plan(plan.dump());
  const auto interval = [](const LatencyEstimate& estimate) {
    return Json{{"p5", estimate.p5_us},
                {"p50", estimate.p50_us},
                {"p95", estimate.p95_us}};
  };
  const FormPrice price(options_, context);
  Json prediction = {{"device", context.latency->device()},
                     {"dense_latency_us", interval(before)},
                     {"latency_us", interval(price.plain(model))}};
  if (options_.form.make)
    prediction[options_.form.name + "_latency_us"] =
        interval(price.formed(model));
  if (limit_us > 0) {
    prediction["target_us"] = limit_us;
    prediction["lost_saliency"] = outcome.loss;
  }
  plan["prediction"] = std::move(prediction);
  return format_plan(plan.dump());
}

PassResult Pruner::run(ir::Model& model, PassContext& context) {
  require(context);
  PassResult result = make_constants_plain(model, context);
  const ir::Model dense = ir::clone(model);
  const ChannelGroups groups(dense, context.input_shapes);
  result.remarks = choice().remarks(groups);
  LatencyEstimate before;
  if (context.latency) before = FormPrice(options_, context).plain(dense);
  FoundWidths outcome{{groups.everything(), {}}, 0};
  double limit_us = 0;
  if (options_.latency_limit_us) {
    limit_us =
        options_.latency_limit_us(latency_at(options_.confidence, before));
    outcome = iterate(dense, groups, limit_us, model, context, result);
  } else {
    UnitLoss loss;
    if (plan_needs_saliency(options_.plan, options_.plan_where))
      loss = saliency(model, groups, context);
    outcome.plan = read_plan(options_.plan, groups, loss, options_.plan_where);
    apply(dense, groups, outcome.plan, model, context, result);
  }
  for (const auto& units : outcome.plan.selection)
    result.changes += std::ranges::count(units, false) > 0;
  result.changes += static_cast<int64_t>(outcome.plan.blocks.size());
  context.pruned =
      std::make_shared<Pruned>(Pruned{groups, outcome.plan.selection});
  result.plan = plan_text(outcome, groups, before, model, limit_us, context);
  return result;
}

}  // namespace

std::unique_ptr<Pass> make_prune_channels(PruneOptions options) {
  return std::make_unique<Pruner>(std::move(options));
}

}  // namespace lathe::prune
