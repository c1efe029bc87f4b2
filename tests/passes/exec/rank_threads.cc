#include "tests/passes/exec/rank_threads.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <thread>
#include <vector>

#include "passes/base/error.h"

namespace lathe::test {

int free_port() {
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound = ::bind(listening, generic, size) == 0 &&
                     ::getsockname(listening, generic, &size) == 0;
  ::close(listening);
  if (!bound) throw_internal("test", "there is no free port");
  return ntohs(address.sin_port);
}

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
