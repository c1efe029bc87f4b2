#include "passes/base/in_order.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace lathe {
namespace {

constexpr size_t kCount = 200, kWindow = 6;

TEST_CASE("items are taken and finished in order, whatever the jobs") {
  for (const int jobs : {0, 1, 2}) {
    CAPTURE(jobs);
    std::vector<size_t> place(kWindow), result(kWindow);
    std::vector<size_t> taken, finished;
    std::atomic<size_t> inside{0}, most{0};
    for_each_in_order(
        kWindow, jobs,
        [&](size_t i) {
          if (i == kCount) return false;
          taken.push_back(i);
          most = std::max<size_t>(most, ++inside);
          place[i % kWindow] = i;
          return true;
        },
        [&](size_t i) {
          // Some take longer than those after them.
          if (i % 5 == 0)
            std::this_thread::sleep_for(std::chrono::microseconds(200));
          result[i % kWindow] = 2 * place[i % kWindow];
        },
        [&](size_t i) {
          finished.push_back(result[i % kWindow]);
          --inside;
        });
    REQUIRE(taken.size() == kCount);
    REQUIRE(finished.size() == kCount);
    for (size_t i = 0; i < kCount; ++i) {
      CHECK(taken[i] == i);
      CHECK(finished[i] == 2 * i);
    }
    CHECK(most <= kWindow);
  }
}

TEST_CASE("a stream may be empty") {
  for (const int jobs : {1, 2}) {
    size_t calls = 0;
    for_each_in_order(
        kWindow, jobs, [](size_t) { return false; }, [&](size_t) { ++calls; },
        [&](size_t) { ++calls; });
    CHECK(calls == 0);
  }
}

TEST_CASE("an exception ends the stream, wherever it comes from") {
  for (const int jobs : {1, 2})
    for (const int thrower : {0, 1, 2}) {
      CAPTURE(jobs);
      CAPTURE(thrower);
      std::atomic<int> running{0};
      size_t finished = 0;
      const auto step = [&](int self, size_t i) {
        ++running;
        const bool throws = self == thrower && i == 7;
        --running;
        if (throws) throw std::runtime_error("seven");
      };
      CHECK_THROWS_WITH_AS(for_each_in_order(
                               kWindow, jobs,
                               [&](size_t i) {
                                 step(0, i);
                                 return i < kCount;
                               },
                               [&](size_t i) { step(1, i); },
                               [&](size_t i) {
                                 step(2, i);
                                 ++finished;
                               }),
                           "seven", std::runtime_error);
      CHECK(running == 0);
      CHECK(finished <= 7);
    }
}

}  // namespace
}  // namespace lathe
