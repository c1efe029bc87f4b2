// Which widths keep a latency at the least loss of saliency.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/base/progress.h"
#include "passes/prune/channel_groups.h"
#include "passes/prune/residual_blocks.h"
#include "passes/prune/width_pricer.h"

namespace lathe::prune {

// What removing a unit costs: [group][unit]; units of a group go in the order
// of theirs.
using UnitLoss = std::vector<std::vector<double>>;

struct SolverOptions {
  double max_ratio = 0.95;   // of a group's units that may go
  int64_t min_units = 1;     // that every group keeps
  std::vector<bool> frozen;  // [group]; stays whole
  bool blocks = true;        // whole blocks may go
  int jobs = 0;
};

struct Solution {
  Widths widths;
  double latency_us = 0;  // the pricer's
  double loss = 0;
};

// A search that goes from the dense model down: each step is the one that
// loses least for the time it wins; at each latency asked for, slack is given
// back to the groups that gain most by it, and groups are traded for each
// other until no trade helps.
class WidthSolver {
 public:
  WidthSolver(const WidthPricer& pricer, const ChannelGroups& groups,
              const std::vector<ResidualBlock>& blocks, const UnitLoss& loss,
              SolverOptions options);

  // The best within each latency, in one sweep; [i] is for latencies_us[i].
  // Error kUnsupported, with the least that can be reached and what binds it,
  // when one cannot be.
  std::vector<Solution> solve(const std::vector<double>& latencies_us,
                              ProgressSink& progress,
                              const CancelToken* cancel);

  double dense_latency_us() const { return dense_us_; }
  // The units that a solution keeps: those of the greatest loss. Groups of a
  // block that is gone are whole.
  Selection selection(const Widths& widths) const;
  std::vector<std::string> gone(const Widths& widths) const;

 private:
  // A group, or groups that share an axis and can be narrowed together, or a
  // block that can go.
  struct Mover {
    std::vector<int32_t> groups;
    std::vector<int32_t> touches;  // groups whose kernels it changes
    int32_t block = -1;
    int64_t step = 1;  // units at a time
  };
  // What it does to its own groups; `us` and `loss` are differences.
  struct Move {
    size_t mover = 0;
    Widths to;
    double us = 0, loss = 0;
  };
  struct Moves {
    bool known = false;
    std::vector<Move> down, up;
  };

  void make_movers();
  void add_bundles();
  void add_block_movers();
  void find_neighbours();
  int64_t least(int32_t group) const;
  bool is_gone(const Widths& widths, int32_t group) const;
  double removed_loss(int32_t group, int64_t units) const;
  double loss_of(const Widths& widths) const;
  // Widths with `units` less of the mover's groups, those of least loss; the
  // number that went.
  int64_t narrow(const Mover& mover, int64_t units, Widths& widths) const;
  std::vector<Widths> smaller(const Mover& mover) const;
  std::vector<Widths> larger(const Mover& mover) const;
  Widths moved(const Move& move, Widths widths) const;
  void look_around();
  // Takes moves when what they really make of the latency is within the limit
  // (or below what it is now); forgets what their neighbours knew.
  bool take(const std::vector<const Move*>& moves, double limit_us,
            bool must_gain);
  const Move* best_descent() const;
  bool fill(double limit_us);
  bool apart(const Move& a, const Move& b) const;  // no group in common
  struct Exchange {
    double loss = 0;  // foretold
    std::vector<const Move*> moves;
  };
  Exchange completed(const Move& first, const std::vector<const Move*>& others,
                     double limit_us) const;
  bool trade(double limit_us);
  // From the last solution on; false where it cannot be reached.
  bool descend(double latency_us, const CancelToken* cancel);
  void refine(double latency_us, const CancelToken* cancel);
  void start_from(const Solution& solution);
  [[noreturn]] void throw_unreachable(double latency_us) const;

  const WidthPricer& pricer_;
  const ChannelGroups& groups_;
  const std::vector<ResidualBlock>& blocks_;
  const UnitLoss& unit_loss_;
  SolverOptions options_;
  std::vector<std::vector<int32_t>> order_;  // [group] units by falling loss
  std::vector<std::vector<double>> prefix_;  // [group] loss of the k least
  std::vector<Mover> movers_;
  std::vector<std::vector<int32_t>> block_groups_;
  std::vector<std::vector<int32_t>> neighbours_;  // [group]
  std::vector<Moves> moves_;                      // [mover]
  Solution now_;
  double dense_us_ = 0;
};

}  // namespace lathe::prune
