// The whole estimate comes from the runtime's own graph where it can, and of
// the form that counts; the solver's is by rules, of the model itself. Widths
// are solved for latencies of the second until the first is within the limit.
#include "passes/prune/width_search.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "passes/base/error.h"
#include "passes/prune/limit_search.h"
#include "passes/prune/residual_blocks.h"
#include "passes/prune/width_pricer.h"

namespace lathe::prune {
namespace {

// How close to the limit the latency of another form is brought from below.
constexpr double kClose = 0.97;

bool better(const FoundWidths& one, const FoundWidths& other, double limit_us) {
  if (other.us > limit_us) return one.us < other.us;
  return one.us <= limit_us && one.loss < other.loss;
}

}  // namespace

FoundWidths search_widths(const ir::Model& model, const ChannelGroups& groups,
                          const UnitLoss& loss, const SolverOptions& options,
                          const FormPrice& price, double now_us,
                          double limit_us, const PassContext& context) {
  const ir::Model bound = with_static_shapes(model, context.input_shapes);
  const std::vector<ResidualBlock> blocks = find_residual_blocks(bound);
  const WidthPricer pricer(bound, groups, blocks, *context.latency);
  LimitSearch search(price.plain(model).p50_us, now_us, limit_us,
                     price.is_plain() ? 0 : kClose);
  std::optional<FoundWidths> best;
  std::optional<Error> unreachable;
  while (!search.done()) {
    WidthSolver solver(pricer, groups, blocks, loss, options);
    Solution solution;
    try {
      solution =
          solver.solve({search.limit()}, *context.progress, context.cancel)[0];
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported || price.is_plain()) throw;
      context.progress->end();
      unreachable = error;
      search.unreachable();
      continue;
    }
    FoundWidths found{
        {solver.selection(solution.widths), solver.gone(solution.widths)},
        solution.loss};
    ir::Model smaller = ir::clone(bound);
    remove_blocks(smaller, found.plan.blocks);
    shrink(smaller, groups, found.plan.selection);
    found.us = price.us(smaller);
    search.found(found.us);
    if (!best || better(found, *best, limit_us)) best = std::move(found);
  }
  if (unreachable && !(best && best->us <= limit_us))
    throw Error(
        unreachable->kind(), unreachable->where(),
        fmt::format("a latency of {:.1f} us{} cannot be reached: {:.1f} us is "
                    "the least that was found, from {:.1f} us; by the median "
                    "of the model as it is, {}",
                    limit_us, price.what(), best ? best->us : now_us, now_us,
                    unreachable->message()),
        unreachable->hint());
  return std::move(*best);
}

}  // namespace lathe::prune
