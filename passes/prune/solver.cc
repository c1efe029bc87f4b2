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
#include <utility>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/text.h"

namespace lathe::prune {
namespace {

// What a move has to win to be one, of the latency it starts from.
constexpr double kLeastGain = 5e-4;
// A search goes on to this share of the least latency asked for.
constexpr double kBelow = 0.85;
constexpr size_t kMostTries = 6;  // moves priced before a search gives up
constexpr int kMostRounds = 400;  // of filling and trading

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
