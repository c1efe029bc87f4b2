// before: Conv [64, 3, 3, 3] -> Conv [128, 64, 3, 3] -> Gemm [10, 128]
// after:  Conv [32, 3, 3, 3] -> Conv [64, 32, 3, 3] -> Gemm [10, 64]
// (ratio 0.5). A group of n units keeps round(ratio n / m) m of them, at least
// m and at most n, where m units are multiple_of positions or a multiple of it.
#include "passes/prune/scale_width.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "passes/base/error.h"
#include "passes/prune/fresh_weights.h"
#include "passes/prune/group_choice.h"
#include "passes/prune/plain_constants.h"
#include "passes/prune/prune.h"
#include "passes/prune/repair.h"
#include "passes/prune/residual_blocks.h"

namespace lathe::prune {
namespace {

// Positions that a unit takes along the first axis.
int64_t unit_width(const ChannelGroup& group) {
  return group.sources.empty()
             ? 1
             : static_cast<int64_t>(group.sources[0].positions[0].size());
}

// How many of them lie side by side: all of a head's, one of an element's.
size_t unit_run(const ChannelGroup& group) {
  if (group.sources.empty()) return 0;
  const std::vector<int64_t>& unit = group.sources[0].positions[0];
  size_t run = 1;
  while (run < unit.size() && unit[run] == unit[run - 1] + 1) ++run;
  return run;
}

// Whether each unit of one crosses units of the other: heads and their
// elements.
bool cross(const ChannelGroup& a, const ChannelGroup& b) {
  for (const WeightAxis& one : a.sources)
    for (const WeightAxis& other : b.sources) {
      if (one.weight != other.weight || one.axis != other.axis) continue;
      const std::vector<int64_t>& unit = one.positions[0];
      for (const std::vector<int64_t>& crossed : other.positions)
        if (std::ranges::find_first_of(unit, crossed) != unit.end())
          return true;
    }
  return false;
}

// Operators of a residual branch: blocks with the same are of one kind.
std::string kind_of(const ir::Model& model, const ResidualBlock& block) {
  std::string kind;
  for (const std::string& result : block.results)
    kind += model.graph->find(result)->producer()->op_type + " ";
  return kind;
}

class ScaleWidth final : public Pass {
 public:
  explicit ScaleWidth(ScaleWidthOptions options)
      : options_(std::move(options)) {
    const auto share = [](const char* option, double value) {
      if (!(value > 0 && value <= 1))
        throw Error(
            ErrorKind::kUsage, std::string("scale_width.") + option,
            fmt::format("found {}, expected more than 0 and at most 1", value));
    };
    share("ratio", options_.ratio);
    share("depth", options_.depth);
    if (options_.multiple_of < 1)
      throw Error(
          ErrorKind::kUsage, "scale_width.multiple_of",
          fmt::format("found {}, expected at least 1", options_.multiple_of));
  }

  std::string name() const override { return "scale_width"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    PassResult result = make_constants_plain(model, context);
    const ChannelGroups groups(model, context.input_shapes);
    result.remarks = choice().remarks(groups);
    const std::vector<int64_t> widths = scaled_widths(groups, result);
    const bool fresh = options_.weights == StudentWeights::kFresh;
    const Plan plan{select(model, groups, widths, context),
                    blocks_to_remove(model)};
    remove_blocks(model, plan.blocks);
    shrink(model, groups, plan.selection);
    for (size_t i = 0; i < widths.size(); ++i)
      result.changes += widths[i] < groups.groups()[i].units;
    result.changes += static_cast<int64_t>(plan.blocks.size());
    if (fresh) result.changes += draw_weights(model, context.seed);
    context.pruned =
        fresh ? nullptr
              : std::make_shared<Pruned>(Pruned{groups, plan.selection});
    result.plan = write_plan(plan, groups);
    return result;
  }

 private:
  GroupChoice choice() const { return {options_.keep, /*rescaling=*/true}; }

  int64_t scaled(const ChannelGroup& group) const {
    if (options_.ratio == 1 || choice().stays_whole(group)) return group.units;
    const int64_t step = options_.multiple_of /
                         std::gcd(options_.multiple_of, unit_width(group));
    const double steps = options_.ratio * static_cast<double>(group.units) /
                         static_cast<double>(step);
    return std::min(group.units,
                    step * std::max<int64_t>(1, std::llround(steps)));
  }

  std::vector<int64_t> scaled_widths(const ChannelGroups& groups,
                                     PassResult& result) const {
    const std::vector<ChannelGroup>& all = groups.groups();
    std::vector<int64_t> first;
    for (const ChannelGroup& group : all) first.push_back(scaled(group));
    std::vector<int64_t> widths = first;
    for (size_t i = 0; i < all.size(); ++i) {
      const ChannelGroup& group = all[i];
      if (options_.ratio == 1 || group.units == 1 ||
          choice().stays_whole(group))
        continue;
      std::string reason;
      for (size_t k = 0; k < all.size() && reason.empty(); ++k)
        if (first[k] < all[k].units && unit_run(all[k]) > unit_run(group) &&
            cross(group, all[k]))
          reason = fmt::format(
              "those of '{}', which they are parts of, get "
              "fewer instead",
              all[k].name);
      if (!reason.empty())
        widths[i] = group.units;
      else if (widths[i] == group.units)
        reason = fmt::format("{:g} of them is no smaller multiple of {}",
                             options_.ratio, options_.multiple_of);
      if (!reason.empty())
        result.remarks.push_back(
            {group.name,
             fmt::format("its {} channels stay: {}", group.units, reason)});
    }
    return widths;
  }

  Selection select(const ir::Model& model, const ChannelGroups& groups,
                   const std::vector<int64_t>& widths,
                   PassContext& context) const {
    Selection selection = groups.everything();
    const bool narrower =
        !std::ranges::equal(widths, groups.groups(), {}, {},
                            [](const ChannelGroup& g) { return g.units; });
    if (!narrower) return selection;
    // Of weights that are drawn anew none are better than others.
    const bool fresh = options_.weights == StudentWeights::kFresh;
    Saliency saliency;
    if (!fresh)
      saliency = measure_saliency(model, groups, options_.saliency,
                                  options_.samples, context);
    for (size_t i = 0; i < widths.size(); ++i) {
      const auto units = static_cast<size_t>(groups.groups()[i].units);
      selection[i] =
          keep_best(fresh ? std::vector<double>(units, 0.0) : saliency[i],
                    static_cast<size_t>(widths[i]));
    }
    return selection;
  }

  std::vector<std::string> blocks_to_remove(const ir::Model& model) const {
    std::map<std::string, std::vector<std::string>> kinds;
    for (const ResidualBlock& block : find_residual_blocks(model))
      kinds[kind_of(model, block)].push_back(block.name);
    std::vector<std::string> removed;
    for (const auto& [kind, blocks] : kinds) {
      const auto count = static_cast<int64_t>(blocks.size());
      const int64_t kept = std::max<int64_t>(
          1, std::llround(options_.depth * static_cast<double>(count)));
      // kept times in count steps i kept / count passes a whole number.
      for (int64_t i = 0; i < count; ++i)
        if ((i + 1) * kept / count == i * kept / count)
          removed.push_back(blocks[static_cast<size_t>(i)]);
    }
    return removed;
  }

  const ScaleWidthOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_scale_width(ScaleWidthOptions options) {
  return std::make_unique<ScaleWidth>(std::move(options));
}

}  // namespace lathe::prune
