#include "tests/passes/exec/rank_threads.h"

#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#include "tests/support/free_port.h"

namespace lathe::test {

void with_ranks(
    int64_t ranks,
    const std::function<void(std::shared_ptr<exec::ProcessGroup>)>& work) {
  const int port = free_port();
  std::vector<std::exception_ptr> errors(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      // A rank that comes before rank 0 tries again a second later.
      if (rank > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      try {
        const auto group = exec::join_process_group(
            {.rank = rank, .ranks = ranks, .local_rank = rank, .port = port},
            {.join_s = 20, .wait_s = 20});
        work(group);
      } catch (...) {
        errors[static_cast<size_t>(rank)] = std::current_exception();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace lathe::test
