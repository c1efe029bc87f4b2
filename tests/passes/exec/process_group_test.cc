// Ranks that talk to each other, and what happens when one stops.
#include "passes/exec/process_group.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <string>

#include "passes/base/error.h"
#include "passes/exec/process_ranks.h"
#include "tests/passes/exec/rank_threads.h"
#include "tests/support/free_port.h"

// After LibTorch.
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using exec::ProcessGroup;
using Group = std::shared_ptr<ProcessGroup>;

constexpr const char* kPort = "LATHE_TEST_RANK_PORT";
constexpr const char* kDies = "a rank that dies";

bool skipped() {
  if (exec::has_process_groups()) return false;
  MESSAGE("skipped: this build has no process groups");
  return true;
}

TEST_CASE("one process needs no group") {
  const Group group = exec::join_process_group({});
  CHECK(group->rank() == 0);
  CHECK(group->ranks() == 1);
  at::Tensor x = at::ones({2});
  group->all_reduce({x});
  group->broadcast({x});
  group->barrier();
  CHECK(at::equal(x, at::ones({2})));
}

TEST_CASE("without process groups joining says so") {
  if (exec::has_process_groups()) return;
  CHECK_THROWS_WITH_AS(
      exec::join_process_group({.rank = 1, .ranks = 2}),
      "rank 1 of 2: this build has no process groups for cpu (build with "
      "Gloo's headers (libgloo-dev) and a LibTorch that has Gloo)",
      Error);
}

TEST_CASE("sums over three ranks are the same bits on each") {
  if (skipped()) return;
  std::vector<at::Tensor> seen(3), halves(3);
  test::with_ranks(3, [&](const Group& group) {
    const int64_t rank = group->rank();
    CHECK(group->ranks() == 3);
    at::Generator numbers = at::detail::createCPUGenerator(7 + rank);
    const at::Tensor x = at::randn({1000}, numbers) * 1e3;
    at::Tensor whole = at::arange(6).reshape({2, 3}).t(),
               number = at::full({}, rank + 0.5, at::kDouble),
               half = at::full({3}, 1.0 / (rank + 3), at::kHalf);
    group->all_reduce({x, whole, number, half, at::empty({0})});
    CHECK(at::equal(whole, at::arange(6).reshape({2, 3}).t() * 3));
    CHECK(number.item<double>() == 4.5);
    seen[static_cast<size_t>(rank)] = x;
    halves[static_cast<size_t>(rank)] = half;
  });
  at::Tensor expected = at::zeros({1000});
  for (int rank = 0; rank < 3; ++rank) {
    at::Generator numbers =
        at::detail::createCPUGenerator(static_cast<uint64_t>(7 + rank));
    expected += at::randn({1000}, numbers) * 1e3;
  }
  CHECK(at::allclose(seen[0], expected, 1e-5, 1e-3));
  CHECK(halves[0][0].item<float>() ==
        doctest::Approx(1.0 / 3 + 1.0 / 4 + 1.0 / 5).epsilon(1e-3));
  for (size_t rank : {1, 2}) {
    CHECK(at::equal(seen[rank], seen[0]));
    CHECK(at::equal(halves[rank], halves[0]));
  }
}

TEST_CASE("a rank's tensors reach the others") {
  if (skipped()) return;
  test::with_ranks(2, [&](const Group& group) {
    const bool sends = group->rank() == 1;
    at::Tensor weights = at::full({2, 3}, sends ? 4.0 : 1.0).t();
    weights.set_requires_grad(true);
    at::Tensor flag = at::full({2}, sends, at::kBool);
    group->broadcast({weights, flag}, /*from=*/1);
    CHECK(at::equal(weights, at::full({3, 2}, 4.0)));
    CHECK(flag.all().item<bool>());
    CHECK(weights.is_leaf());
  });
}

TEST_CASE("every rank's bytes, in their order") {
  if (skipped()) return;
  test::with_ranks(3, [&](const Group& group) {
    const auto ranks = exec::make_ranks(group);
    CHECK(exec::process_group_of(ranks.get()) == group);
    const std::string own(static_cast<size_t>(ranks->rank()) * 2,
                          static_cast<char>('a' + ranks->rank()));
    CHECK(ranks->gather(own) == std::vector<std::string>{"", "bb", "cccc"});
  });
  CHECK(exec::process_group_of(nullptr)->ranks() == 1);
}

TEST_CASE("types without a sum") {
  if (skipped()) return;
  test::with_ranks(2, [&](const Group& group) {
    CHECK_THROWS_WITH_AS(
        group->all_reduce({at::ones({2}, at::kBool)}),
        "all_reduce: tensors of type Bool have no sum (this is a bug in Lathe; "
        "please report it)",
        Error);
  });
}

TEST_CASE("gradients are averaged over ranks") {
  if (skipped()) return;
  test::with_ranks(2, [&](const Group& group) {
    const double rank = static_cast<double>(group->rank());
    std::vector<at::Tensor> parameters;
    // The second fills a bucket.
    for (int64_t size : {3, 7 << 20, 2, 5}) {
      parameters.push_back(at::zeros({size}));
      parameters.back().set_requires_grad(true);
    }
    parameters[0].mutable_grad() = at::full({3}, rank + 1);
    parameters[1].mutable_grad() = at::full({7 << 20}, 4 * rank);
    if (group->rank() == 1) parameters[2].mutable_grad() = at::full({2}, 8.0);
    exec::average_gradients(*group, parameters);
    CHECK(at::equal(parameters[0].grad(), at::full({3}, 1.5)));
    CHECK(at::equal(parameters[1].grad(), at::full({7 << 20}, 2.0)));
    CHECK(at::equal(parameters[2].grad(), at::full({2}, 4.0)));
    CHECK(!parameters[3].grad().defined());
  });
}

TEST_CASE(kDies* doctest::skip()) {
  const char* port = std::getenv(kPort);
  if (!port) return;
  const Group group = exec::join_process_group(
      {.rank = 1, .ranks = 2, .local_rank = 1, .port = std::atoi(port)},
      {.join_s = 20, .wait_s = 20});
  group->barrier();
  std::raise(SIGKILL);
}

// Runs that test case as a process of its own.
pid_t start_rank_that_dies(int port) {
  const std::string filter = "--test-case=" + std::string(kDies);
  ::setenv(kPort, std::to_string(port).c_str(), /*overwrite=*/1);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl("/proc/self/exe", "test_exec", filter.c_str(), "--no-skip",
            nullptr);
    ::_exit(127);
  }
  ::unsetenv(kPort);
  return child;
}

TEST_CASE("a rank learns that another one died") {
  if (skipped()) return;
  const int port = test::free_port();
  const pid_t child = start_rank_that_dies(port);
  REQUIRE(child > 0);
  const Group group = exec::join_process_group({.ranks = 2, .port = port},
                                               {.join_s = 20, .wait_s = 20});
  group->barrier();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 2; ++i) {
    try {
      group->barrier();
      FAIL("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kIo);
      CHECK(error.where() == "rank 0 of 2");
      CHECK(error.message().starts_with(
          "all_reduce with the other ranks failed: "));
      CHECK(error.hint() ==
            "another rank has ended, hangs or cannot be reached: see what it "
            "says");
    }
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
}

TEST_CASE("a rank whose others do not come") {
  if (skipped()) return;
  const int port = test::free_port();
  const std::string at = "127.0.0.1, port " + std::to_string(port) + ": ";
  try {
    exec::join_process_group({.rank = 1, .ranks = 2, .port = port},
                             {.join_s = 0.2, .wait_s = 1});
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kIo);
    CHECK(error.where() == "rank 1 of 2");
    CHECK(error.message().starts_with("the ranks did not meet at " + at));
    CHECK(error.hint() ==
          "every rank has to be started, and reach that address (MASTER_ADDR, "
          "MASTER_PORT)");
  }
}

}  // namespace
}  // namespace lathe
