// Commands that several processes run together, on one machine or more.
#pragma once

#include <memory>

#include "passes/ranks.h"

namespace lathe::cli {

// The ranks that the environment names (passes/rank_environment.h), once all
// are there; null where this process is alone. Needs LibTorch.
std::unique_ptr<Ranks> join_ranks();

// Whether this process is the one that prints.
bool is_first(const Ranks* ranks);

}  // namespace lathe::cli
