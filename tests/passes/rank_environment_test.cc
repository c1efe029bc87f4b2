// What each launcher's environment variables mean.
#include "passes/rank_environment.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "passes/base/error.h"

namespace lathe {
namespace {

using Variables = std::map<std::string, std::string>;

RankEnvironment read(const Variables& variables) {
  return rank_environment([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

void fails(const Variables& variables, const std::string& message) {
  CHECK_THROWS_WITH_AS(read(variables), message.c_str(), Error);
}

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

const Variables kSlurmStep = {
    {"SLURM_PROCID", "5"},    {"SLURM_STEP_NUM_TASKS", "8"},
    {"SLURM_LOCALID", "1"},   {"SLURM_STEP_ID", "0"},
    {"SLURM_JOB_ID", "4711"}, {"SLURM_STEP_NODELIST", "gpu[03-04,9],other7"}};

TEST_CASE("one process without a launcher") {
  CHECK(read({}) == RankEnvironment{});
  CHECK(read({{"RANK", ""}, {"MASTER_ADDR", "a"}}) == RankEnvironment{});
  CHECK(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}) == RankEnvironment{});
}

TEST_CASE("torchrun") {
  const Variables given = {{"RANK", "3"},          {"WORLD_SIZE", "4"},
                           {"LOCAL_RANK", "1"},    {"LOCAL_WORLD_SIZE", "2"},
                           {"MASTER_ADDR", "one"}, {"MASTER_PORT", "1234"}};
  const RankEnvironment expected = {
      .rank = 3, .ranks = 4, .local_rank = 1, .master = "one", .port = 1234};
  CHECK(read(given) == expected);
  // Another launcher that started it does not count.
  CHECK(read(with(given, kSlurmStep)) == expected);
  const RankEnvironment served =
      read(with(given, {{"TORCHELASTIC_USE_AGENT_STORE", "True"},
                        {"TORCHELASTIC_RESTART_COUNT", "2"}}));
  CHECK(served.launcher_serves);
  CHECK(served.store_prefix == "/worker/attempt_2");
  CHECK(!read(with(given, {{"TORCHELASTIC_USE_AGENT_STORE", "False"}}))
             .launcher_serves);
  // By hand.
  CHECK(read({{"RANK", "1"}, {"WORLD_SIZE", "2"}}) ==
        RankEnvironment{.rank = 1, .ranks = 2, .local_rank = 1});
}

TEST_CASE("mpirun") {
  const Variables open = {{"OMPI_COMM_WORLD_RANK", "1"},
                          {"OMPI_COMM_WORLD_SIZE", "2"},
                          {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                          {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  CHECK(read(open) == RankEnvironment{.rank = 1, .ranks = 2, .local_rank = 1});
  // Jobs beside each other have ports of their own.
  const int one = read(with(open, {{"PMIX_NAMESPACE", "811"}})).port,
            two = read(with(open, {{"PMIX_NAMESPACE", "812"}})).port;
  CHECK(one != two);
  CHECK(one >= 20000);
  CHECK(one < 30000);
  const Variables hydra = {{"PMI_RANK", "2"},
                           {"PMI_SIZE", "3"},
                           {"MPI_LOCALRANKID", "0"},
                           {"MPI_LOCALNRANKS", "1"},
                           {"MASTER_ADDR", "10.0.0.1"}};
  CHECK(read(hydra) ==
        RankEnvironment{.rank = 2, .ranks = 3, .master = "10.0.0.1"});
}

TEST_CASE("srun") {
  const RankEnvironment here = read(kSlurmStep);
  CHECK(here.rank == 5);
  CHECK(here.ranks == 8);
  CHECK(here.local_rank == 1);
  CHECK(here.master == "gpu03");
  CHECK(here.port >= 20000);
  CHECK(here.port < 30000);
  CHECK(read(with(kSlurmStep, {{"SLURM_STEP_ID", "1"}})).port != here.port);
  for (const auto& [list, first] :
       Variables{{"a1,a2", "a1"}, {"r[1-2]n[07,9]", "r1n07"}, {"solo", "solo"}})
    CHECK(read(with(kSlurmStep, {{"SLURM_STEP_NODELIST", list}})).master ==
          first);
  const RankEnvironment told = read(
      with(kSlurmStep, {{"MASTER_ADDR", "10.1.1.1"}, {"MASTER_PORT", "99"}}));
  CHECK(told.master == "10.1.1.1");
  CHECK(told.port == 99);
  // A shell in an allocation, and one that Slurm runs as a step of its own.
  Variables shell = {
      {"SLURM_JOB_ID", "4711"}, {"SLURM_NTASKS", "8"}, {"SLURM_PROCID", "0"}};
  CHECK(read(shell) == RankEnvironment{});
  CHECK(read(with(kSlurmStep, {{"SLURM_STEP_ID", "4294967290"}})) ==
        RankEnvironment{});
}

TEST_CASE("environments that do not fit") {
  fails({{"RANK", "0"}},
        "environment variable WORLD_SIZE: it is not set, but RANK is (set "
        "both, as the launcher does, or neither)");
  fails({{"PMI_SIZE", "2"}},
        "environment variable PMI_RANK: it is not set, but PMI_SIZE is (set "
        "both, as the launcher does, or neither)");
  fails({{"RANK", "2"}, {"WORLD_SIZE", "2"}},
        "environment variable RANK: it is '2', expected a number of 0 to 1");
  fails({{"RANK", "0"}, {"WORLD_SIZE", "2x"}},
        "environment variable WORLD_SIZE: it is '2x', expected a number of 1 "
        "to 2147483647");
  fails({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_PORT", "70000"}},
        "environment variable MASTER_PORT: it is '70000', expected a number "
        "of 1 to 65535");
  fails(with(kSlurmStep, {{"SLURM_STEP_ID", "-1"}}),
        "environment variable SLURM_STEP_ID: it is '-1', expected a number of "
        "0 or more");
  fails({{"OMPI_COMM_WORLD_RANK", "1"},
         {"OMPI_COMM_WORLD_SIZE", "4"},
         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}},
        "environment variable MASTER_ADDR: it is not set, but only 2 of 4 "
        "ranks run on this machine (set it to the address of rank 0's machine "
        "on every rank)");
}

}  // namespace
}  // namespace lathe
