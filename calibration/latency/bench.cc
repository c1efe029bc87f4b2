// How the figures are made and why: docs/latency.md.
#include "calibration/latency/bench.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "calibration/latency/statistics.h"

namespace lathe::latency {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kWarmUpRuns = 3;
constexpr double kWarmUpSeconds = 0.05;
// A turn is long enough for the model's own data to be back in the caches for
// most of it, and short beside the drift of a clock frequency.
constexpr double kTurnSeconds = 0.01;
constexpr int64_t kMinTurnRuns = 3;
constexpr int64_t kMinTurns = 10;
constexpr uint64_t kProgressSteps = 100;  // a subject

// Of the calling thread.
double processor_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 +
         static_cast<double>(time.tv_nsec) * 1e-3;
}

class Subject {
 public:
  Subject(const BenchSubject& subject, const BenchOptions& options)
      : bound_(subject.session->bind(subject.inputs)), options_(options) {}

  void warm_up(const CancelToken* cancel) {
    Clock::time_point start = Clock::now();
    int64_t runs = 0;
    double seconds = 0;
    while (runs < kWarmUpRuns || seconds < kWarmUpSeconds) {
      if (cancel) cancel->check();
      bound_->run();
      ++runs;
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
    }
    plan_turn(seconds / static_cast<double>(runs));
  }

  bool done() const {
    int64_t runs = static_cast<int64_t>(latencies_us_.size());
    if (options_.runs > 0) return runs >= options_.runs;
    if (runs >= std::max(options_.max_runs, int64_t{1})) return true;
    return spent_seconds_ >= options_.min_seconds && runs >= options_.min_runs;
  }

  void take_turn(bool settle, const CancelToken* cancel) {
    if (settle) bound_->run();
    for (int64_t i = 0; i < turn_runs_ && !done(); ++i) {
      if (cancel) cancel->check();
      double processor_start_us = processor_us();
      Clock::time_point start = Clock::now();
      bound_->run();
      std::chrono::duration<double> elapsed = Clock::now() - start;
      processor_us_.push_back(processor_us() - processor_start_us);
      latencies_us_.push_back(elapsed.count() * 1e6);
      spent_seconds_ += elapsed.count();
    }
  }

  // How far it is, in steps; never falls.
  uint64_t progress() const {
    double runs = static_cast<double>(latencies_us_.size());
    double share = 1;
    if (options_.runs > 0) {
      share = runs / static_cast<double>(options_.runs);
    } else if (!done()) {
      share = std::min(
          runs / static_cast<double>(std::max(options_.min_runs, int64_t{1})),
          options_.min_seconds > 0 ? spent_seconds_ / options_.min_seconds : 1);
    }
    return static_cast<uint64_t>(std::min(share, 1.0) * kProgressSteps);
  }

  MeasuredLatency result() const {
    MeasuredLatency latency = summarize(latencies_us_);
    // With more threads the calling one may wait for the others.
    if (options_.threads <= 1)
      latency.noisy |= is_interrupted(latencies_us_, processor_us_);
    return latency;
  }

 private:
  void plan_turn(double run_seconds) {
    int64_t fit = static_cast<int64_t>(
        std::min(kTurnSeconds / std::max(run_seconds, 1e-9), 1e6));
    turn_runs_ = std::max(kMinTurnRuns, fit);
    int64_t planned = options_.runs > 0 ? options_.runs : options_.max_runs;
    int64_t share = (planned + kMinTurns - 1) / kMinTurns;
    turn_runs_ =
        std::clamp(turn_runs_, int64_t{1}, std::max(share, int64_t{1}));
  }

  std::unique_ptr<Session::Bound> bound_;
  const BenchOptions& options_;
  std::vector<double> latencies_us_, processor_us_;
  double spent_seconds_ = 0;
  int64_t turn_runs_ = 1;
};

}  // namespace

std::vector<MeasuredLatency> bench(const std::vector<BenchSubject>& subjects,
                                   const BenchOptions& options,
                                   ProgressSink& progress,
                                   const CancelToken* cancel) {
  progress.begin("bench", subjects.size() * kProgressSteps);
  std::vector<Subject> states;
  states.reserve(subjects.size());
  for (const BenchSubject& subject : subjects)
    states.emplace_back(subject, options).warm_up(cancel);

  // With one model alone, every run follows a run of itself already.
  bool settle = subjects.size() > 1;
  uint64_t shown = 0;
  for (bool busy = true; busy;) {
    busy = false;
    uint64_t reached = 0;
    for (size_t i = 0; i < states.size(); ++i) {
      if (!states[i].done()) {
        states[i].take_turn(settle, cancel);
        busy |= !states[i].done();
      }
      reached += states[i].progress();
    }
    if (reached > shown) progress.advance(reached - shown);
    shown = std::max(shown, reached);
  }
  progress.end();

  std::vector<MeasuredLatency> results;
  for (const Subject& state : states) results.push_back(state.result());
  return results;
}

}  // namespace lathe::latency
