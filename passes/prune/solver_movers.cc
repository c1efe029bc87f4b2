// What can be narrowed together, and to which widths.
#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "passes/prune/solver.h"

namespace lathe::prune {
namespace {

// A move takes at most this share of its units, so that others come between.
constexpr double kLongestMove = 0.5;
constexpr int64_t kMostLooks = 10;  // widths that a mover looks at

int64_t step_of(int64_t units) {
  if (units <= 8) return 1;
  if (units <= 16) return 2;
  if (units <= 64) return 4;
  if (units <= 256) return 8;
  return 16 * std::max<int64_t>(1, units / 512);
}

}  // namespace

void WidthSolver::make_movers() {
  for (size_t i = 0; i < groups_.groups().size(); ++i)
    if (!options_.frozen[i])
      movers_.push_back({{static_cast<int32_t>(i)},
                         {},
                         -1,
                         step_of(groups_.groups()[i].units)});
  add_bundles();
  find_neighbours();
  add_block_movers();
  for (Mover& mover : movers_) {
    if (mover.block >= 0) continue;
    std::set<int32_t> touches;
    for (const int32_t group : mover.groups)
      touches.insert(neighbours_[static_cast<size_t>(group)].begin(),
                     neighbours_[static_cast<size_t>(group)].end());
    mover.touches.assign(touches.begin(), touches.end());
  }
}

// Groups that lie side by side on one axis: only together they fill or leave a
// vector register.
void WidthSolver::add_bundles() {
  std::set<std::vector<int32_t>> seen;
  for (const ChannelGroup& group : groups_.groups())
    for (const WeightAxis& source : group.sources)
      for (const auto& terms : groups_.terms(source.value)) {
        std::vector<int32_t> members;
        int64_t units = 0;
        for (const AxisTerm& term : terms) {
          if (term.groups.size() != 1) {
            members.clear();
            break;
          }
          const auto at = static_cast<size_t>(term.groups[0]);
          if (options_.frozen[at]) continue;
          members.push_back(term.groups[0]);
          units += groups_.groups()[at].units;
        }
        std::ranges::sort(members);
        if (members.size() > 1 && seen.insert(members).second)
          movers_.push_back({members, {}, -1, step_of(units)});
      }
}

// Groups that a product has in common.
void WidthSolver::find_neighbours() {
  std::unordered_map<std::string, std::set<int32_t>> products;
  for (size_t i = 0; i < groups_.groups().size(); ++i)
    for (const auto* side :
         {&groups_.groups()[i].sources, &groups_.groups()[i].readers})
      for (const WeightAxis& weight : *side)
        products[weight.result].insert(static_cast<int32_t>(i));
  std::vector<std::set<int32_t>> sets(groups_.groups().size());
  for (const auto& [product, members] : products)
    for (const int32_t member : members)
      sets[static_cast<size_t>(member)].insert(members.begin(), members.end());
  for (const auto& set : sets) neighbours_.emplace_back(set.begin(), set.end());
}

void WidthSolver::add_block_movers() {
  for (size_t b = 0; b < blocks_.size(); ++b) {
    const std::unordered_set<std::string> results(blocks_[b].results.begin(),
                                                  blocks_[b].results.end());
    const auto inside = [&](const auto& list) {
      return std::ranges::all_of(list, [&](const WeightAxis& weight) {
        return results.contains(weight.result);
      });
    };
    Mover mover{{}, {}, static_cast<int32_t>(b), 1};
    std::vector<int32_t> within;
    std::set<int32_t> touches;
    bool fixed = false;
    for (size_t i = 0; i < groups_.groups().size(); ++i) {
      const ChannelGroup& group = groups_.groups()[i];
      const auto touched = [&](const auto& list) {
        return std::ranges::any_of(list, [&](const WeightAxis& weight) {
          return results.contains(weight.result);
        });
      };
      if (touched(group.sources) || touched(group.readers))
        touches.insert(static_cast<int32_t>(i));
      if (!inside(group.sources) || !inside(group.readers)) continue;
      within.push_back(static_cast<int32_t>(i));
      fixed = fixed || options_.frozen[i];
    }
    block_groups_.push_back(within);
    if (!options_.blocks || fixed || within.empty()) continue;
    mover.groups = within;
    mover.touches.assign(touches.begin(), touches.end());
    movers_.push_back(std::move(mover));
  }
}

int64_t WidthSolver::least(int32_t group) const {
  const int64_t units = groups_.groups()[static_cast<size_t>(group)].units;
  const auto share = static_cast<int64_t>(
      std::ceil(static_cast<double>(units) * (1 - options_.max_ratio) - 1e-9));
  return std::min(units, std::max({int64_t{1}, share, options_.min_units}));
}

int64_t WidthSolver::narrow(const Mover& mover, int64_t units,
                            Widths& widths) const {
  int64_t went = 0;
  for (; went < units; ++went) {
    int32_t best = -1;
    double best_loss = 0;
    for (const int32_t group : mover.groups) {
      const auto at = static_cast<size_t>(group);
      const int64_t left = widths.units[at];
      if (left <= least(group)) continue;
      const double loss =
          removed_loss(group, left - 1) - removed_loss(group, left);
      if (best < 0 || loss < best_loss) {
        best = group;
        best_loss = loss;
      }
    }
    if (best < 0) break;
    --widths.units[static_cast<size_t>(best)];
  }
  return went;
}

std::vector<Widths> WidthSolver::smaller(const Mover& mover) const {
  const Widths& widths = now_.widths;
  std::vector<Widths> list;
  if (mover.block >= 0) {
    if (widths.gone[static_cast<size_t>(mover.block)]) return list;
    list.push_back(widths);
    list.back().gone[static_cast<size_t>(mover.block)] = true;
    return list;
  }
  int64_t left = 0;
  for (const int32_t group : mover.groups) {
    if (is_gone(widths, group)) return list;
    left += widths.units[static_cast<size_t>(group)];
  }
  // Down to multiples of the step first.
  int64_t units = left % mover.step == 0 ? mover.step : left % mover.step;
  const auto most =
      std::max(mover.step,
               static_cast<int64_t>(kLongestMove * static_cast<double>(left)));
  for (int64_t look = 1; look <= kMostLooks && units <= most; ++look) {
    Widths next = widths;
    if (narrow(mover, units, next) < units) break;
    list.push_back(std::move(next));
    units += mover.step * std::max<int64_t>(1, look / 2);
  }
  return list;
}

std::vector<Widths> WidthSolver::larger(const Mover& mover) const {
  const Widths& widths = now_.widths;
  std::vector<Widths> list;
  if (mover.block >= 0) {
    if (!widths.gone[static_cast<size_t>(mover.block)]) return list;
    list.push_back(widths);
    list.back().gone[static_cast<size_t>(mover.block)] = false;
    return list;
  }
  const auto at = static_cast<size_t>(mover.groups[0]);
  const int64_t units = groups_.groups()[at].units;
  if (mover.groups.size() > 1 || widths.units[at] >= units ||
      is_gone(widths, mover.groups[0]))
    return list;
  for (const int64_t steps : {1, 2, 4}) {
    Widths next = widths;
    next.units[at] =
        std::min(units, (next.units[at] / mover.step + steps) * mover.step);
    list.push_back(std::move(next));
  }
  return list;
}

}  // namespace lathe::prune
