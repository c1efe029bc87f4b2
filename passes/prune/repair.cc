#include "passes/prune/repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "passes/base/error.h"
#include "passes/exec/model_part.h"
#include "passes/prune/repair_passes.h"
#include "passes/prune/repair_sweep.h"

namespace lathe::prune {
namespace {

constexpr const char* kNoTwin = "the dense model has no such product";
constexpr const char* kOtherOrder =
    "the dense model runs it in another order than the pruned one";
constexpr const char* kShared = "another node has the same weights";
constexpr const char* kUnknownChannels =
    "which channels of its result stayed is not known";
constexpr const char* kOtherPlaces =
    "the two models' values differ in more than their channels";
constexpr const char* kNotFinite = "its values are not finite over the samples";
constexpr const char* kTooWide = "it reads too many features for least squares";
constexpr const char* kNoBetter = "no fit lowers its error on held-out samples";

// Of a result's mean square: float's own errors.
constexpr double kExact = 1e-12;

constexpr size_t kNone = std::numeric_limits<size_t>::max();

struct Site {
  Stop stop;
  ir::Node* node = nullptr;
  std::optional<ProductPair> pair;  // else a BatchNormalization
};

// What a node is known by in both models: ids may stand for several.
const std::string& key_of(const ir::Node& node) {
  static const std::string kUnnamed;
  return node.output() ? node.output()->name() : kUnnamed;
}

// The nodes that read a group that lost units.
std::unordered_set<std::string> readers_of_lost(const ChannelGroups& groups,
                                                const Selection& selection) {
  std::unordered_set<std::string> nodes;
  for (size_t i = 0; i < groups.groups().size(); ++i)
    if (std::ranges::count(selection[i], false) > 0)
      for (const WeightAxis& reader : groups.groups()[i].readers)
        nodes.insert(reader.result);
  return nodes;
}

bool all_finite(const Rows& rows) {
  const auto finite = [](const at::Tensor& values) {
    return std::isfinite(values.sum(at::kDouble).item<double>());
  };
  return finite(rows.x) && finite(rows.y) &&
         (!rows.around.defined() ||
          (finite(rows.around) && finite(rows.lacking)));
}

class Repairer {
 public:
  Repairer(ir::Model& model, const ir::Model& dense,
           const ChannelGroups& groups, const Selection& selection,
           const RepairOptions& options, PassContext& context)
      : model_(model),
        dense_(dense),
        groups_(groups),
        selection_(selection),
        options_(options),
        context_(context),
        order_(*dense.graph) {}

  PassResult run() {
    const std::vector<Site> sites = find_sites();
    if (sites.empty()) return std::move(result_);
    std::vector<Stop> stops;
    for (const Site& site : sites) stops.push_back(site.stop);
    Sweep sweep(model_, &dense_, stops, options_.samples, options_.memory,
                context_);
    remark_samples(sweep, options_, context_, result_);
    context_.progress->begin("repair", sites.size());
    for (const Site& site : sites) {
      if (site.pair || !fitted_.contains(site.node)) {
        sweep.advance(site.stop);
        if (site.pair)
          fit(sweep, *site.pair);
        else
          reestimate(sweep, *site.node, result_);
      }
      context_.progress->advance(1);
    }
    context_.progress->end();
    return std::move(result_);
  }

 private:
  // Of the dense model's nodes.
  void find_twins() {
    std::unordered_set<std::string> left;
    for (const auto& node : model_.graph->nodes()) left.insert(key_of(*node));
    std::string reason;
    for (ir::Node* node : dense_.graph->node_list()) {
      twins_.emplace(key_of(*node), node);
      if (first_gone_ == kNone && !left.contains(key_of(*node)) &&
          find_product(*node, reason).node)
        first_gone_ = order_.position(*node);
    }
  }

  std::vector<Site> find_sites() {
    find_twins();
    const exec::ExecutionOrder own(*model_.graph);
    const auto lost = readers_of_lost(groups_, selection_);
    const bool products = options_.least_squares || options_.moments;
    std::vector<Site> sites;
    bool changed = false;  // from here on values differ from the dense model's
    size_t reached = 0;
    for (ir::Node* node : model_.graph->node_list()) {
      const bool reads_less = lost.contains(key_of(*node));
      const auto found = twins_.find(key_of(*node));
      ir::Node* twin = found == twins_.end() ? nullptr : found->second;
      changed = changed || reads_less ||
                (twin && order_.position(*twin) > first_gone_);
      if (!changed || !node->input(0) || own.is_fixed(*node->input(0)))
        continue;
      if (options_.batch_norm && is_fixed_batch_norm(*node)) {
        sites.push_back({{node, nullptr}, node, {}});
        continue;
      }
      if (!products) continue;
      std::string reason;
      const auto pair = find_pair(*node, twin, reason);
      if (!pair) {
        if (reason.empty() && reads_less)
          reason = "it lost inputs, but only Conv, Gemm and MatMul are fitted";
        if (!reason.empty()) remark(*node, reason);
        continue;
      }
      const size_t position = order_.position(*twin);
      if (position < reached) {
        remark(*node, kOtherOrder);
        continue;
      }
      reached = position;
      sites.push_back({{node, twin}, node, pair});
    }
    return sites;
  }

  std::optional<ProductPair> find_pair(ir::Node& node, ir::Node* twin,
                                       std::string& reason) const {
    ProductPair pair{find_product(node, reason), {}, {}};
    if (!pair.now.node) return std::nullopt;
    std::string dense_reason;
    if (twin) pair.dense = find_product(*twin, dense_reason);
    const auto kept = groups_.kept(
        pair.dense.node ? pair.dense.result()->name() : "", selection_);
    if (!pair.dense.node || !pair.dense.affine != !pair.now.affine)
      reason = kNoTwin;
    else if (pair.now.weights()->uses().size() > 1)
      reason = kShared;
    else if (kept.size() < 2)
      reason = kUnknownChannels;
    if (!reason.empty()) return std::nullopt;
    pair.kept = pair.now.is_convolution() ? kept[1] : kept.back();
    if (static_cast<int64_t>(pair.kept.size()) == pair.now.outputs) return pair;
    reason = kUnknownChannels;
    return std::nullopt;
  }

  void remark(const ir::Node& node, std::string reason) {
    result_.remarks.push_back({node.id(), std::move(reason)});
  }

  void fit(const Sweep& sweep, const ProductPair& pair) {
    const ir::Node& node = *pair.now.node;
    const auto rows = sweep.rows(pair);
    if (!rows) return remark(node, kOtherPlaces);
    if (!all_finite(rows->all)) return remark(node, kNotFinite);
    const Affine prior = pair.now.read();
    const int jobs = context_.jobs;
    const double before = squared_error(rows->check, prior, rows->bounds, jobs);
    const double scale =
        rows->check.y.square().mean(at::kDouble).item<double>();
    if (before <= kExact * scale * static_cast<double>(pair.now.outputs))
      return;
    const bool fits = pair.now.features <= kMostFeatures;
    std::optional<Affine> fitted;
    if (options_.least_squares && fits)
      fitted = fit_least_squares(*rows, prior, options_.ridge, jobs);
    if (!fitted && options_.moments) {
      fitted = match_moments(rows->all, prior, jobs);
      if (options_.least_squares &&
          !(squared_error(rows->check, *fitted, rows->bounds, jobs) < before))
        fitted.reset();
    }
    if (!fitted) return remark(node, fits ? kNoBetter : kTooWide);
    pair.now.write(*fitted);
    if (pair.now.normalized()) fitted_.insert(pair.now.affine);
    ++result_.changes;
  }

  ir::Model& model_;
  const ir::Model& dense_;
  const ChannelGroups& groups_;
  const Selection& selection_;
  const RepairOptions& options_;
  PassContext& context_;
  PassResult result_;
  const exec::ExecutionOrder order_;  // of the dense model
  std::unordered_map<std::string, ir::Node*> twins_;
  // Where its first product stands that the pruned model does not have.
  size_t first_gone_ = kNone;
  // BatchNormalization nodes behind products that were fitted.
  std::set<const ir::Node*> fitted_;
};

// The parts that compare with the dense model.
class RepairPart final : public Pass {
 public:
  RepairPart(std::string name, RepairOptions options)
      : name_(std::move(name)), options_(options) {}
  std::string name() const override { return name_; }
  PassResult run(ir::Model& model, PassContext& context) override {
    if (!context.reference || !context.pruned)
      throw Error(ErrorKind::kUsage, name_,
                  "it compares with the dense model, but no pass before it "
                  "pruned one",
                  "put it behind prune_channels in the recipe");
    require_samples(context, options_, name_);
    return repair(model, *context.reference, context.pruned->groups,
                  context.pruned->selection, options_, context);
  }

 private:
  std::string name_;
  RepairOptions options_;
};

}  // namespace

void require_samples(const PassContext& context, const RepairOptions& options,
                     const std::string& pass) {
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw Error(ErrorKind::kUsage, pass, what);
  };
  if (!context.data)
    throw Error(ErrorKind::kUsage, pass, "it needs samples, but none are given",
                "give data");
  require(options.samples >= 1,
          fmt::format("samples is {}, expected 1 or more", options.samples));
  require(options.memory >= 1,
          fmt::format("memory is {}, expected 1 or more", options.memory));
  require(options.ridge > 0 && std::isfinite(options.ridge),
          fmt::format("ridge is {}, expected above 0", options.ridge));
}

void remark_samples(const Sweep& sweep, const RepairOptions& options,
                    const PassContext& context, PassResult& result) {
  if (!sweep.limited()) return;
  const int64_t wanted = std::min(options.samples, context.data->size());
  result.remarks.push_back(
      {"", fmt::format("{} of {} samples are used: more would take over {} "
                       "MiB",
                       sweep.samples(), wanted, options.memory >> 20)});
}

PassResult repair(ir::Model& model, const ir::Model& dense,
                  const ChannelGroups& groups, const Selection& selection,
                  const RepairOptions& options, PassContext& context) {
  require_samples(context, options, "repair");
  return Repairer(model, dense, groups, selection, options, context).run();
}

std::unique_ptr<Pass> make_match_channel_moments(RepairOptions options) {
  options.least_squares = options.batch_norm = false;
  options.moments = true;
  return std::make_unique<RepairPart>("match_channel_moments", options);
}

std::unique_ptr<Pass> make_reconstruct_consumers(RepairOptions options) {
  options.moments = options.batch_norm = false;
  options.least_squares = true;
  return std::make_unique<RepairPart>("reconstruct_consumers", options);
}

}  // namespace lathe::prune
