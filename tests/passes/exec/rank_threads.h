// Several ranks in one process, a thread each.
#pragma once

#include <functional>

#include "passes/exec/process_group.h"

namespace lathe::test {

// Joins `ranks` ranks over the loopback interface and calls `work` for each on
// a thread of its own. Throws what the first that failed threw.
void with_ranks(
    int64_t ranks,
    const std::function<void(std::shared_ptr<exec::ProcessGroup>)>& work);

}  // namespace lathe::test
