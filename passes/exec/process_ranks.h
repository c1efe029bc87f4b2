// The ranks of a process group, for what knows no LibTorch.
#pragma once

#include <memory>
#include <string>

#include "passes/rank_environment.h"
#include "passes/ranks.h"

namespace lathe::exec {

class ProcessGroup;

std::unique_ptr<Ranks> make_ranks(std::shared_ptr<ProcessGroup> group);

// join_process_group() and make_ranks(). `device`: "cpu", or "cuda" for this
// rank's own by its local rank. Errors as join_process_group's.
std::unique_ptr<Ranks> join_ranks(const RankEnvironment& environment,
                                  const std::string& device = "cpu");

// The group that they were made of; one process for null. Error kInternal for
// others than make_ranks makes.
std::shared_ptr<ProcessGroup> process_group_of(Ranks* ranks);

}  // namespace lathe::exec
