// Parallel work over oneTBB.
#pragma once

#include <cstddef>
#include <functional>

namespace lathe {

// `requested` > 0, else the number of cores this process may use.
int effective_jobs(int requested);

// Calls body(i) for i in [0, count), at most `jobs` at a time. The first
// exception is rethrown after running bodies have ended.
void parallel_for(size_t count, int jobs,
                  const std::function<void(size_t)>& body);

}  // namespace lathe
