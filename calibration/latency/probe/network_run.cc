#include "calibration/latency/probe/network_run.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>
#include <span>
#include <system_error>

#include "calibration/latency/bench.h"
#include "calibration/latency/kernel_source.h"
#include "calibration/latency/probe/join_kernels.h"
#include "calibration/latency/probe/runtime_profile.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMinRuns = 4;
constexpr size_t kMaxRuns = 100;
// Runs of a turn without which it says nothing.
constexpr size_t kLeastUndisturbed = 3;
constexpr size_t kMostRepeats = 3;  // of a turn's runs, to get them
// A run was disturbed when it took more than this many times its processor
// time, and more than what a look at the clock may cost.
constexpr double kMostWaiting = 1.03;
constexpr double kSwitchUs = 5;
constexpr double kWarmUpSeconds = 0.004;
constexpr double kSettleSeconds = 0.005;
constexpr int kMaxWarmUpRuns = 20;
// The profiler counts whole microseconds and forgets the rest.
constexpr double kLostUs = 0.5;
// Times below this need the mean over whole runs: the lowest of whole numbers
// are all the number below.
constexpr double kWholeUs = 20;
constexpr uint64_t kInputSeed = 1;

// Of the calling thread.
double processor_us() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 +
         static_cast<double>(time.tv_nsec) * 1e-3;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// How many of so many times are quiet: the lowest third, at least two. A
// neighbour on the same core slows a run by half as much again and comes and
// goes within milliseconds, so a median is a mixture and only the low end is
// the kernel's own time.
size_t quiet_count(size_t count) {
  return std::min(count, std::max<size_t>(2, (count + 2) / 3));
}

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) /
         static_cast<double>(values.size());
}

double quiet_mean(std::vector<double> values) {
  const size_t count = quiet_count(values.size());
  std::partial_sort(values.begin(),
                    values.begin() + static_cast<ptrdiff_t>(count),
                    values.end());
  return mean({values.data(), count});
}

// The runs whose kernels took least in all.
std::vector<size_t> quiet_runs(const RuntimeProfile& profile,
                               const std::vector<size_t>& runs) {
  std::vector<std::pair<int64_t, size_t>> by_time;
  for (size_t run : runs)
    by_time.emplace_back(std::accumulate(profile.runs[run].begin(),
                                         profile.runs[run].end(), int64_t{0}),
                         run);
  std::sort(by_time.begin(), by_time.end());
  std::vector<size_t> quiet;
  for (size_t i = 0; i < quiet_count(runs.size()); ++i)
    quiet.push_back(by_time[i].second);
  return quiet;
}

// The times of one node in some runs.
std::vector<double> times_of(const RuntimeProfile& profile, size_t node,
                             const std::vector<size_t>& runs) {
  std::vector<double> times;
  for (size_t run : runs)
    times.push_back(static_cast<double>(profile.runs[run][node]));
  return times;
}

}  // namespace

NetworkRun::NetworkRun(std::string name, uint64_t seed, ir::Model model,
                       int threads, const std::filesystem::path& folder)
    : name_(std::move(name)),
      seed_(seed),
      model_(std::move(model)),
      threads_(threads),
      optimized_(folder / (name_ + ".onnx")) {
  SessionOptions options;
  options.threads = threads;
  options.flush_denormals = true;
  plain_ = Session::open(model_, options, name_);
  options.optimized_model = optimized_;
  options.profile_prefix = folder / name_;
  profiled_ = Session::open(model_, options, name_);
  NamedTensors inputs = random_inputs(model_, {}, kInputSeed);
  plain_run_ = plain_->bind(inputs);
  profiled_run_ = profiled_->bind(inputs);
  Clock::time_point start = Clock::now();
  for (int run = 0; run < 2 || (run < kMaxWarmUpRuns &&
                                seconds_since(start) < kWarmUpSeconds);
       ++run) {
    Clock::time_point run_start = Clock::now();
    plain_run_->run();
    double seconds = seconds_since(run_start);
    run_seconds_ = run == 0 ? seconds : std::min(run_seconds_, seconds);
  }
}

NetworkRun::~NetworkRun() {
  std::error_code ignored;
  std::filesystem::remove(optimized_, ignored);
  // A profile that was not asked for is still written.
  if (profiled_ && profile_.empty()) {
    try {
      profile_ = profiled_->end_profiling();
    } catch (const Error&) {
      return;
    }
  }
  std::filesystem::remove(profile_, ignored);
}

size_t NetworkRun::runs_for(double seconds) const {
  return std::clamp(static_cast<size_t>(seconds / run_seconds_), kMinRuns,
                    kMaxRuns);
}

std::optional<double> NetworkRun::timed_us(Session::Bound& run) const {
  double processor_start_us = processor_us();
  Clock::time_point start = Clock::now();
  run.run();
  double elapsed_us = seconds_since(start) * 1e6;
  double spent_us = processor_us() - processor_start_us;
  // With more threads the calling one may wait for the others.
  if (threads_ == 1 && elapsed_us > spent_us * kMostWaiting + kSwitchUs)
    return std::nullopt;
  return elapsed_us;
}

// Brings the network's data back into the caches and, with more threads, waits
// until the workers of the session before no longer look for work.
size_t NetworkRun::settle(Session::Bound& run) const {
  Clock::time_point start = Clock::now();
  size_t runs = 0;
  do {
    run.run();
    ++runs;
  } while (threads_ > 1 && seconds_since(start) < kSettleSeconds);
  return runs;
}

bool NetworkRun::take_turn(double seconds, const CancelToken* cancel,
                           const std::function<void()>& between) {
  size_t runs = runs_for(seconds);
  size_t least = std::min(kLeastUndisturbed, runs);
  std::vector<double> totals;
  Turn turn;
  settle(*plain_run_);
  for (size_t i = 0;
       i < runs || (totals.size() < least && i < runs * kMostRepeats); ++i) {
    if (cancel) cancel->check();
    if (auto time_us = timed_us(*plain_run_)) totals.push_back(*time_us);
  }
  if (between) between();
  if (totals.size() >= least) {
    profiled_runs_ += settle(*profiled_run_);
    for (size_t i = 0;
         i < runs || (turn.runs.size() < least && i < runs * kMostRepeats);
         ++i) {
      if (cancel) cancel->check();
      if (timed_us(*profiled_run_)) turn.runs.push_back(profiled_runs_);
      ++profiled_runs_;
    }
  }
  bool good = totals.size() >= least && turn.runs.size() >= least;
  if (good) turn.total_us = quiet_mean(std::move(totals));
  turn.usable = good;
  turns_.push_back(std::move(turn));
  return good;
}

void NetworkRun::keep_quietest(int count) {
  while (kept_turns() < count) {
    Turn* best = nullptr;
    for (Turn& turn : turns_)
      if (turn.usable && !turn.kept &&
          (!best || turn.reference_us < best->reference_us))
        best = &turn;
    if (!best) return;
    best->kept = true;
  }
}

int NetworkRun::kept_turns() const {
  return static_cast<int>(
      std::count_if(turns_.begin(), turns_.end(),
                    [](const Turn& turn) { return turn.kept; }));
}

ProfiledSample NetworkRun::finish() {
  profile_ = profiled_->end_profiling();
  RuntimeProfile profile = parse_profile(read_file(profile_), name_);
  if (profile.runs.size() < profiled_runs_)
    throw_input(name_, "the runtime's profile is incomplete");
  size_t before = profile.runs.size() - profiled_runs_;
  ir::Model optimized = io::import_onnx(optimized_);
  ir::infer_shapes(optimized);
  std::vector<DescribedKernel> kernels =
      kernels_of_optimized(optimized, model_);
  std::vector<const DescribedKernel*> joined =
      join_kernels(profile, optimized, kernels, name_);

  ProfiledSample profiled;
  for (const RuntimeProfile::Node& node : profile.nodes)
    profiled.inputs.push_back(node.inputs);
  NetworkSample& sample = profiled.sample;
  sample.name = name_;
  sample.seed = seed_;
  sample.threads = threads_;
  for (const DescribedKernel* kernel : joined)
    sample.kernels.push_back({kernel->descriptor, {}});
  for (const Turn& turn : turns_) {
    if (!turn.kept) continue;
    std::vector<size_t> runs = turn.runs;
    for (size_t& run : runs) run += before;
    const std::vector<size_t> quiet = quiet_runs(profile, runs);
    for (size_t node = 0; node < joined.size(); ++node) {
      double time = quiet_mean(times_of(profile, node, runs));
      if (time < kWholeUs) time = mean(times_of(profile, node, quiet));
      sample.kernels[node].times_us.push_back(
          static_cast<float>(time + kLostUs));
    }
    sample.totals_us.push_back(static_cast<float>(turn.total_us));
    sample.reference_us.push_back(static_cast<float>(turn.reference_us));
  }
  return profiled;
}

}  // namespace lathe::latency
