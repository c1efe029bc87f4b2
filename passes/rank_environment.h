// Where this process stands among those that one command started.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace lathe {

struct RankEnvironment {
  // rank: in [0, ranks). local_rank: among the ranks of this machine.
  int64_t rank = 0, ranks = 1, local_rank = 0;
  // Where the ranks meet: rank 0's machine, and a port that is free there.
  std::string master = "127.0.0.1";
  int port = 29500;
  // The launcher itself serves the meeting point, and keeps this job's keys
  // under `store_prefix`; else rank 0 does.
  bool launcher_serves = false;
  std::string store_prefix = {};
  bool operator==(const RankEnvironment&) const = default;
};

// An environment variable's value; nullopt where it is not set.
using EnvironmentLookup =
    std::function<std::optional<std::string>(const char* name)>;

// Of this process, from what the first of these launchers that took part set:
//   torchrun     RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE
//   Open MPI     OMPI_COMM_WORLD_RANK, …_SIZE, …_LOCAL_RANK, …_LOCAL_SIZE
//   MPICH, Intel MPI   PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS
//   Slurm's srun SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID
// else one process. A shell or batch script inside a Slurm allocation is no
// step of srun's, and so one process too. Without its local rank, a process
// takes its rank for it.
//
// MASTER_ADDR and MASTER_PORT always win. Else: Slurm's first node, 127.0.0.1;
// a port between 20000 and 29999 drawn by the job's id (TORCHELASTIC_RUN_ID,
// PMIX_NAMESPACE, SLURM_JOB_ID and SLURM_STEP_ID), 29500 where there is none.
//
// Error kUsage naming the variable that is missing or has no such value.
RankEnvironment rank_environment();
RankEnvironment rank_environment(const EnvironmentLookup& lookup);

}  // namespace lathe
