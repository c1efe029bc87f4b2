// Data-parallel training: this process among its ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "passes/exec/torch.h"
#include "passes/rank_environment.h"

namespace lathe::exec {

// Every rank makes the same calls in the same order, with tensors of the same
// types and shapes, on whatever device and however strided. Error kIo where a
// rank is gone, or does not come within the time to wait; after it, every call
// fails at once.
class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t ranks() const = 0;
  // Sums over ranks, in place, the same bits on every rank. Floating (half
  // precision is summed in float), int32 or int64. Error kInternal for others.
  virtual void all_reduce(const std::vector<at::Tensor>& tensors) = 0;
  // Of any type; in place.
  virtual void broadcast(const std::vector<at::Tensor>& tensors,
                         int64_t from = 0) = 0;
  virtual void barrier() = 0;

 protected:
  ProcessGroup() = default;
};

// One rank by itself: every call returns at once.
std::shared_ptr<ProcessGroup> single_process();

// Whether this build has Gloo (NCCL for a CUDA device).
bool has_process_groups(at::Device device = at::kCPU);

struct JoinOptions {
  // NCCL for CUDA where LibTorch has it, else Gloo, which brings tensors to the
  // CPU and back.
  at::Device device = at::kCPU;
  double join_s = 300;   // for all ranks to come
  double wait_s = 1800;  // in a call, for the slowest rank
};

// Joins the others, Gloo by the network interface that GLOO_SOCKET_IFNAME
// names, else the one that reaches rank 0. Returns once all are there; at once
// for one rank. Errors: kUnsupported where this build has no process groups;
// kIo where the others do not come.
std::shared_ptr<ProcessGroup> join_process_group(
    const RankEnvironment& environment, const JoinOptions& options = {});

// Sets every parameter's gradient to its mean over ranks, the same bits on
// every rank, in buckets of about 25 MB. A gradient that is missing counts as
// zero, and stays missing where every rank lacks it.
void average_gradients(ProcessGroup& group,
                       std::span<const at::Tensor> parameters);

}  // namespace lathe::exec
