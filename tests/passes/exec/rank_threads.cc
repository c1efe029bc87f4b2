#include "tests/passes/exec/rank_threads.h"

#include <chrono>
#include <thread>

#include "tests/support/free_port.h"
#include "tests/support/on_threads.h"

namespace lathe::test {

void with_ranks(
    int64_t ranks,
    const std::function<void(std::shared_ptr<exec::ProcessGroup>)>& work) {
  const int port = free_port();
  on_threads(ranks, [&](int64_t rank) {
    // A rank that comes before rank 0 tries again a second later.
    if (rank > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    work(exec::join_process_group(
        {.rank = rank, .ranks = ranks, .local_rank = rank, .port = port},
        {.join_s = 20, .wait_s = 20}));
  });
}

}  // namespace lathe::test
