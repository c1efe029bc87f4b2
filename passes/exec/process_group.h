// Data-parallel training: this process among its ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "passes/exec/torch.h"

namespace lathe::exec {

// Where this process stands, from the environment of torchrun (RANK,
// WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT), Open MPI's and MPICH's
// mpirun (OMPI_COMM_WORLD_RANK …, PMI_RANK …) or Slurm's srun (SLURM_PROCID …).
struct RankEnvironment {
  int64_t rank = 0, ranks = 1, local_rank = 0;
  std::string master = "127.0.0.1";
  int port = 0;
  bool operator==(const RankEnvironment&) const = default;
};

// Error kUsage naming the variable that is missing or no number.
RankEnvironment rank_environment();

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t ranks() const = 0;
  // Sums over ranks, in place, the same bits on every rank. Floating or int64,
  // on the CPU (or the group's device). Error kIo where a rank is gone.
  virtual void all_reduce(std::vector<at::Tensor> tensors) = 0;
  virtual void broadcast(std::vector<at::Tensor> tensors, int64_t from = 0) = 0;
  virtual void barrier() = 0;

 protected:
  ProcessGroup() = default;
};

// One rank by itself: every call returns at once.
std::shared_ptr<ProcessGroup> single_process();
// Joins the others: Gloo on the CPU, NCCL for a CUDA device where LibTorch has
// it. Errors: kUnsupported where LibTorch has neither; kIo where the others do
// not come within `timeout_s`.
std::shared_ptr<ProcessGroup> join_process_group(
    const RankEnvironment& environment, at::Device device = at::kCPU,
    double timeout_s = 300);

}  // namespace lathe::exec
