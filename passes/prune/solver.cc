// Units of a group go in the order of their loss, so that its loss is convex in
// its width; latency is a staircase: each mover looks several steps ahead.
// Differences that moves make are kept until a neighbour moves.
#include "passes/prune/solver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/text.h"

namespace lathe::prune {
namespace {

// What a move has to win to be one, of the latency it starts from.
constexpr double kLeastGain = 5e-4;
// A move takes at most this share of its units, so that others come between.
constexpr double kLongestMove = 0.5;
constexpr int64_t kMostLooks = 10;  // widths that a mover looks at
// A search goes on to this share of the least latency asked for.
constexpr double kBelow = 0.85;
constexpr size_t kMostTries = 6;  // moves priced before a search gives up
constexpr int kMostRounds = 400;  // of filling and trading

int64_t step_of(int64_t units) {
  if (units <= 8) return 1;
  if (units <= 16) return 2;
  if (units <= 64) return 4;
  if (units <= 256) return 8;
  return 16 * std::max<int64_t>(1, units / 512);
}

}  // namespace

WidthSolver::WidthSolver(const WidthPricer& pricer, const ChannelGroups& groups,
                         const std::vector<ResidualBlock>& blocks,
                         const UnitLoss& loss, SolverOptions options)
    : pricer_(pricer),
      groups_(groups),
      blocks_(blocks),
      unit_loss_(loss),
      options_(std::move(options)) {
  for (size_t i = 0; i < groups_.groups().size(); ++i) {
    std::vector<int32_t> order(unit_loss_[i].size());
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, std::greater<>(), [&](int32_t unit) {
      return unit_loss_[i][static_cast<size_t>(unit)];
    });
    std::vector<double> prefix{0};
    for (size_t k = order.size(); k-- > 0;)
      prefix.push_back(prefix.back() +
                       unit_loss_[i][static_cast<size_t>(order[k])]);
    order_.push_back(std::move(order));
    prefix_.push_back(std::move(prefix));
  }
  make_movers();
  moves_.resize(movers_.size());
  for (const ChannelGroup& group : groups_.groups())
    now_.widths.units.push_back(group.units);
  now_.widths.gone.assign(blocks_.size(), false);
  dense_us_ = now_.latency_us = pricer_.price(now_.widths);
}

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

bool WidthSolver::is_gone(const Widths& widths, int32_t group) const {
  for (size_t b = 0; b < blocks_.size(); ++b)
    if (widths.gone[b] &&
        std::ranges::find(block_groups_[b], group) != block_groups_[b].end())
      return true;
  return false;
}

double WidthSolver::removed_loss(int32_t group, int64_t units) const {
  const auto at = static_cast<size_t>(group);
  return prefix_[at][static_cast<size_t>(groups_.groups()[at].units - units)];
}

// Of a block that is gone, its groups' units count as lost: those of the group
// that costs least, since either of them would empty the branch.
double WidthSolver::loss_of(const Widths& widths) const {
  double loss = 0;
  for (size_t i = 0; i < widths.units.size(); ++i)
    if (!is_gone(widths, static_cast<int32_t>(i)))
      loss += removed_loss(static_cast<int32_t>(i), widths.units[i]);
  for (size_t b = 0; b < blocks_.size(); ++b) {
    if (!widths.gone[b]) continue;
    double least = std::numeric_limits<double>::infinity();
    for (const int32_t group : block_groups_[b])
      least = std::min(least, removed_loss(group, 0));
    loss += least;
  }
  return loss;
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

Widths WidthSolver::moved(const Move& move, Widths widths) const {
  const Mover& mover = movers_[move.mover];
  if (mover.block >= 0) {
    const auto at = static_cast<size_t>(mover.block);
    widths.gone[at] = move.to.gone[at];
    return widths;
  }
  for (const int32_t group : mover.groups)
    widths.units[static_cast<size_t>(group)] =
        move.to.units[static_cast<size_t>(group)];
  return widths;
}

// Prices what every mover could do, where that is not known.
void WidthSolver::look_around() {
  std::vector<Move*> asked;
  for (size_t i = 0; i < movers_.size(); ++i) {
    Moves& moves = moves_[i];
    if (moves.known) continue;
    moves = {true, {}, {}};
    for (Widths& to : smaller(movers_[i]))
      moves.down.push_back({i, std::move(to)});
    for (Widths& to : larger(movers_[i]))
      moves.up.push_back({i, std::move(to)});
    for (auto* list : {&moves.down, &moves.up})
      for (Move& move : *list) asked.push_back(&move);
  }
  parallel_for(asked.size(), options_.jobs, [&](size_t i) {
    asked[i]->us = pricer_.price(asked[i]->to) - now_.latency_us;
    asked[i]->loss = loss_of(asked[i]->to) - now_.loss;
  });
}

bool WidthSolver::take(const std::vector<const Move*>& moves, double limit_us,
                       bool must_gain) {
  Solution next{now_.widths};
  for (const Move* move : moves) next.widths = moved(*move, next.widths);
  next.latency_us = pricer_.price(next.widths);
  next.loss = loss_of(next.widths);
  if (next.latency_us > limit_us || (must_gain && next.loss >= now_.loss))
    return false;
  std::set<int32_t> changed;
  for (const Move* move : moves) {
    const Mover& mover = movers_[move->mover];
    changed.insert(mover.touches.begin(), mover.touches.end());
    changed.insert(mover.groups.begin(), mover.groups.end());
  }
  for (size_t i = 0; i < moves_.size(); ++i)
    if (std::ranges::any_of(movers_[i].groups, [&](int32_t group) {
          return changed.contains(group);
        }))
      moves_[i].known = false;
  now_ = std::move(next);
  return true;
}

// The least loss for the time won.
const WidthSolver::Move* WidthSolver::best_descent() const {
  const Move* best = nullptr;
  double best_rate = 0;
  for (const Moves& moves : moves_)
    for (const Move& move : moves.down) {
      if (-move.us < kLeastGain * now_.latency_us) continue;
      const double rate = std::max(move.loss, 0.0) / -move.us;
      if (best && rate >= best_rate) continue;
      best = &move;
      best_rate = rate;
    }
  return best;
}

// One move that gives back what fits.
bool WidthSolver::fill(double limit_us) {
  std::vector<std::pair<double, const Move*>> list;
  for (const Moves& moves : moves_)
    for (const Move& move : moves.up)
      if (move.loss < 0 && now_.latency_us + move.us <= limit_us)
        list.emplace_back(move.loss / std::max(move.us, 1e-6 * now_.latency_us),
                          &move);
  std::ranges::sort(list);
  if (list.size() > kMostTries) list.resize(kMostTries);
  for (const auto& [rate, move] : list)
    if (take({move}, limit_us, /*must_gain=*/true)) return true;
  return false;
}

bool WidthSolver::apart(const Move& a, const Move& b) const {
  return std::ranges::none_of(movers_[a.mover].groups, [&](int32_t group) {
    return std::ranges::find(movers_[b.mover].groups, group) !=
           movers_[b.mover].groups.end();
  });
}

// `first` with others, those of the best rate first, until the latency is spent
// or made up for. Differences are taken to add up.
WidthSolver::Exchange WidthSolver::completed(
    const Move& first, const std::vector<const Move*>& others,
    double limit_us) const {
  Exchange exchange{first.loss, {&first}};
  double us = now_.latency_us + first.us;
  for (const Move* move : others) {
    const bool narrower = move->us < 0;
    if (narrower ? us <= limit_us : us + move->us > limit_us) continue;
    if (!std::ranges::all_of(exchange.moves, [&](const Move* taken) {
          return apart(*taken, *move);
        }))
      continue;
    exchange.moves.push_back(move);
    exchange.loss += move->loss;
    us += move->us;
  }
  if (us > limit_us) exchange.loss = 0;
  return exchange;
}

// Groups wider and others narrower.
bool WidthSolver::trade(double limit_us) {
  std::vector<const Move*> ups, downs;
  for (const Moves& moves : moves_) {
    for (const Move& move : moves.up)
      if (move.loss < 0 && move.us > 0) ups.push_back(&move);
    for (const Move& move : moves.down)
      if (move.us < 0) downs.push_back(&move);
  }
  const auto rate = [](const Move* move) {
    return std::max(move->loss / std::abs(move->us), -1e300);
  };
  std::ranges::sort(ups, {}, rate);
  std::ranges::sort(downs, {}, rate);
  std::vector<Exchange> list;
  for (const Move* up : ups) {
    for (const Move* down : downs)
      if (now_.latency_us + up->us + down->us <= limit_us && apart(*up, *down))
        list.push_back({up->loss + down->loss, {up, down}});
    list.push_back(completed(*up, downs, limit_us));
  }
  for (const Move* down : downs)
    list.push_back(completed(*down, ups, limit_us));
  std::erase_if(list, [&](const Exchange& exchange) {
    return exchange.loss >= -1e-9 * now_.loss;
  });
  std::ranges::sort(list, {}, &Exchange::loss);
  if (list.size() > kMostTries) list.resize(kMostTries);
  for (const Exchange& exchange : list)
    if (take(exchange.moves, limit_us, /*must_gain=*/true)) return true;
  return false;
}

bool WidthSolver::descend(double latency_us, const CancelToken* cancel) {
  while (now_.latency_us > latency_us) {
    if (cancel) cancel->check();
    look_around();
    const Move* move = best_descent();
    if (!move) return false;
    if (!take({move}, now_.latency_us, /*must_gain=*/false))
      moves_[move->mover] = {true, {}, {}};  // it wins nothing after all
  }
  return true;
}

void WidthSolver::refine(double latency_us, const CancelToken* cancel) {
  for (int round = 0; round < kMostRounds; ++round) {
    if (cancel) cancel->check();
    look_around();
    if (!fill(latency_us) && !trade(latency_us)) return;
  }
}

void WidthSolver::start_from(const Solution& solution) {
  now_ = solution;
  for (Moves& moves : moves_) moves.known = false;
}

// Down, and up again: what was found at a lower latency can, filled up, be
// better than what led there.
std::vector<Solution> WidthSolver::solve(
    const std::vector<double>& latencies_us, ProgressSink& progress,
    const CancelToken* cancel) {
  std::vector<size_t> order(latencies_us.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, std::greater<>(),
                    [&](size_t i) { return latencies_us[i]; });
  std::vector<Solution> solutions(latencies_us.size());
  progress.begin("solving widths", 2 * order.size() + 1);
  for (const size_t i : order) {
    if (!descend(latencies_us[i], cancel)) throw_unreachable(latencies_us[i]);
    refine(latencies_us[i], cancel);
    solutions[i] = now_;
    progress.advance(1);
  }
  if (order.empty()) return solutions;
  const double below = kBelow * latencies_us[order.back()];
  if (descend(below, cancel)) refine(below, cancel);
  progress.advance(1);
  for (size_t k = order.size(); k-- > 0;) {
    const size_t i = order[k];
    if (now_.loss < solutions[i].loss) {
      refine(latencies_us[i], cancel);
      solutions[i] = now_;
    } else if (k > 0) {
      start_from(solutions[i]);
    }
    progress.advance(1);
  }
  progress.end();
  return solutions;
}

Selection WidthSolver::selection(const Widths& widths) const {
  Selection selection = groups_.everything();
  for (size_t i = 0; i < selection.size(); ++i)
    for (size_t k = is_gone(widths, static_cast<int32_t>(i))
                        ? order_[i].size()
                        : static_cast<size_t>(widths.units[i]);
         k < order_[i].size(); ++k)
      selection[i][static_cast<size_t>(order_[i][k])] = false;
  return selection;
}

std::vector<std::string> WidthSolver::gone(const Widths& widths) const {
  std::vector<std::string> names;
  for (size_t b = 0; b < blocks_.size(); ++b)
    if (widths.gone[b]) names.push_back(blocks_[b].name);
  return names;
}

void WidthSolver::throw_unreachable(double latency_us) const {
  const Solution& last = now_;
  std::vector<std::string> bound;
  int64_t frozen = 0;
  for (size_t i = 0; i < groups_.groups().size(); ++i) {
    const ChannelGroup& group = groups_.groups()[i];
    if (options_.frozen[i])
      ++frozen;
    else if (bound.size() < 3 &&
             last.widths.units[i] <= least(static_cast<int32_t>(i)))
      bound.push_back("'" + group.name + "' at " +
                      std::to_string(last.widths.units[i]) + " of " +
                      std::to_string(group.units));
  }
  throw Error(
      ErrorKind::kUnsupported, "prune_channels",
      fmt::format("a latency of {:.1f} us cannot be reached: {:.1f} us is the "
                  "least, from {:.1f} us; {} groups are frozen{}",
                  latency_us, last.latency_us, dense_us_, frozen,
                  bound.empty() ? ""
                                : ", and others are at their least width (" +
                                      join(bound, ", ") + ")"),
      "raise the target, or max_ratio, or keep less");
}

}  // namespace lathe::prune
