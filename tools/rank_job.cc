#include "tools/rank_job.h"

#include "passes/exec/process_ranks.h"

namespace lathe::cli {

std::unique_ptr<Ranks> join_ranks() {
  const RankEnvironment here = rank_environment();
  return here.ranks > 1 ? exec::join_ranks(here) : nullptr;
}

bool is_first(const Ranks* ranks) { return !ranks || ranks->rank() == 0; }

}  // namespace lathe::cli
