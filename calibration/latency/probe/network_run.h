// One network in two sessions, one of them profiled, timed turn by turn.
// Internal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calibration/latency/probe/profiler_cost.h"
#include "calibration/latency/session.h"
#include "passes/base/progress.h"
#include "passes/ir/graph.h"

namespace lathe::latency {

class NetworkRun {
 public:
  // Opens the sessions and runs them until they are warm. `folder` takes their
  // files. Errors as Session::open.
  NetworkRun(std::string name, uint64_t seed, ir::Model model, int threads,
             const std::filesystem::path& folder);
  ~NetworkRun();

  const std::string& name() const { return name_; }
  // Runs for about `seconds` in each session, several times at least, and
  // calls `between` after the first. False when something else had the core in
  // most runs: then it cannot be kept.
  bool take_turn(double seconds, const CancelToken* cancel,
                 const std::function<void()>& between = {});
  // Of the last turn: the reference kernel beside it, and whether that says
  // that it counts.
  void judge_turn(double reference_us, bool kept) {
    turns_.back().reference_us = reference_us;
    turns_.back().kept = kept;
  }
  // Where fewer count, those with the quietest reference count as well.
  void keep_quietest(int count);
  int kept_turns() const;
  int turns() const { return static_cast<int>(turns_.size()); }

  // Ends the profile. Error kInput when it cannot be joined with the kernels.
  ProfiledSample finish();

 private:
  struct Turn {
    std::vector<size_t> runs;  // undisturbed ones of the profiled session
    double total_us = 0;       // without the profiler
    double reference_us = 0;
    bool usable = false;  // enough undisturbed runs
    bool kept = false;
  };
  // One run; nullopt when something else had the core meanwhile.
  std::optional<double> timed_us(Session::Bound& run) const;
  size_t settle(Session::Bound& run) const;  // returns how many runs
  size_t runs_for(double seconds) const;

  std::string name_;
  uint64_t seed_;
  ir::Model model_;
  int threads_;
  std::filesystem::path optimized_, profile_;
  std::unique_ptr<Session> plain_, profiled_;
  std::unique_ptr<Session::Bound> plain_run_, profiled_run_;
  double run_seconds_ = 0;    // of one run, as warm as it gets
  size_t profiled_runs_ = 0;  // beside those that bind() makes
  std::vector<Turn> turns_;
};

}  // namespace lathe::latency
