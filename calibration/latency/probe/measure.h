// Times random networks in the runtime, kernel by kernel where they stand.
//
// Networks are taken in groups: A B C … A B C …, several rounds. A network's
// turn runs it several times as it is (for the whole network's time) and as
// often with the runtime's profiler (for its kernels'). A fixed reference
// kernel is timed before, within and after each turn; a turn beside which it
// was slow is dropped and repeated.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "calibration/latency/probe/measurements.h"
#include "calibration/latency/probe/random_network.h"
#include "passes/base/progress.h"
#include "passes/ir/graph.h"
#include "passes/kernel.h"

namespace lathe::latency {

struct MeasureOptions {
  int threads = 1;
  double budget_s = 180;  // of all calls together, from the constructor on
  int rounds = 3;         // kept ones, a network
  int group = 8;          // networks
  double turn_s = 0.015;  // a network's turn, in each of its two sessions
};

// A network that is not of a random family, to be measured alike.
struct NamedModel {
  std::string name;
  ir::Model model;  // shapes bound
};

class NetworkMeasurer {
 public:
  // Called with each group's samples as soon as it is done.
  using OnGroup = std::function<void(std::span<const NetworkSample>)>;

  explicit NetworkMeasurer(const MeasureOptions& options);
  ~NetworkMeasurer();
  NetworkMeasurer(const NetworkMeasurer&) = delete;
  NetworkMeasurer& operator=(const NetworkMeasurer&) = delete;

  // Measures the networks in order until the budget is spent; returns how many
  // of them were tried (a group is not started when it would not end in time).
  // A network whose profile cannot be joined with its kernels, or that the
  // runtime refuses, is left out with a warning. Progress: advances by one for
  // each tenth of a second spent; the caller begins and ends the task. Throws
  // Error{kInterrupted} when cancelled; whole groups have been reported by
  // then.
  size_t measure(std::span<const NetworkSpec> specs, const OnGroup& on_group,
                 ProgressSink& progress = silent_progress(),
                 const CancelToken* cancel = nullptr);
  size_t measure(std::vector<NamedModel> models, const OnGroup& on_group,
                 ProgressSink& progress = silent_progress(),
                 const CancelToken* cancel = nullptr);

  double seconds() const;  // spent so far
  double seconds_left() const;
  // Networks left out, by name, and why.
  const std::map<std::string, std::string>& left_out() const;
  NoiseCertificate noise() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// `count` networks for a start: every family in turn, fp32 and int8 (and fp16
// where this runtime computes in it), seeds that follow from `seed`.
std::vector<NetworkSpec> first_plan(size_t count, uint64_t seed,
                                    bool with_fp16 = false);

// Whether the runtime has kernels for fp16 on this machine, or would compute in
// fp32 between conversions.
bool runtime_has_fp16();

// The kernels of a network as this runtime would run it, not measured.
std::vector<KernelDescriptor> preview(const NetworkSpec& spec, int threads);

}  // namespace lathe::latency
