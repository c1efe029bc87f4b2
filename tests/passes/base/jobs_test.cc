#include "passes/base/jobs.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/progress.h"

namespace lathe {
namespace {

TEST_CASE("each index is visited once, whatever the jobs") {
  for (const int jobs : {0, 1, 2, 8}) {
    for (const size_t count : {size_t{0}, size_t{1}, size_t{1000}}) {
      std::vector<std::atomic<int>> visits(count);
      parallel_for(count, jobs, [&](size_t i) { ++visits[i]; });
      for (const auto& visit : visits) CHECK(visit == 1);
    }
  }
}

TEST_CASE("at most the asked number runs at a time") {
  std::atomic<int> running{0}, most{0};
  parallel_for(20, 2, [&](size_t) {
    const int now = ++running;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --running;
  });
  CHECK(most <= 2);
}

TEST_CASE("an exception comes out after running bodies have ended") {
  for (const int jobs : {1, 2}) {
    std::atomic<int> running{0};
    CHECK_THROWS_WITH_AS(parallel_for(100, jobs,
                                      [&](size_t i) {
                                        ++running;
                                        if (i == 3) {
                                          --running;
                                          throw std::runtime_error("three");
                                        }
                                        --running;
                                      }),
                         "three", std::runtime_error);
    CHECK(running == 0);
  }
}

TEST_CASE("jobs nest") {
  std::atomic<int> total{0};
  parallel_for(4, 2,
               [&](size_t) { parallel_for(5, 2, [&](size_t) { ++total; }); });
  CHECK(total == 20);
}

TEST_CASE("without a request there is at least one job") {
  CHECK(effective_jobs(0) >= 1);
  CHECK(effective_jobs(-1) >= 1);
  CHECK(effective_jobs(3) == 3);
}

TEST_CASE("a cancelled token throws, another does not") {
  CancelToken token;
  CHECK_NOTHROW(token.check());
  token.cancel();
  CHECK_THROWS_WITH_AS(token.check(), "interrupted", Error);
  silent_progress().begin("task", 3);
  silent_progress().warn("nothing is printed");
}

}  // namespace
}  // namespace lathe
