#include "calibration/latency/probe/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "calibration/latency/probe/network_run.h"
#include "calibration/latency/probe/reference_kernel.h"
#include "calibration/latency/statistics.h"
#include "passes/base/error.h"

namespace lathe::latency {
namespace {

using Clock = std::chrono::steady_clock;

// A turn waits this long at most for a quiet reference: looks at it.
constexpr int kMostLooks = 12;
// Turns a network gets before its quietest ones must do, in rounds.
constexpr int kMaxTurnsPerRound = 2;
constexpr size_t kRecentTurns = 60;
// A network with fewer usable turns than this is left out.
constexpr int kMinKept = 2;
// Shows what a network costs on this machine.
constexpr size_t kFirstGroup = 3;

// A folder for the sessions' files, in memory where the system has such a
// place, gone at the end.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::error_code ignored;
    for (std::filesystem::path parent :
         {std::filesystem::path("/dev/shm"),
          std::filesystem::temp_directory_path(ignored)}) {
      std::string pattern = (parent / "lathe-probe-XXXXXX").string();
      if (::mkdtemp(pattern.data())) {
        path_ = pattern;
        return;
      }
    }
    throw Error(ErrorKind::kIo, "", "no folder for temporary files can be made",
                "set TMPDIR to a folder with enough room");
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

struct NetworkMeasurer::State {
  explicit State(const MeasureOptions& given) : options(given) {}

  using Make = std::function<std::unique_ptr<NetworkRun>()>;

  double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  double seconds_left() const { return options.budget_s - seconds(); }

  void show_progress(ProgressSink& progress) {
    uint64_t steps = static_cast<uint64_t>(seconds() * 10);
    if (steps > shown) progress.advance(steps - shown);
    shown = std::max(shown, steps);
  }

  void leave_out(const std::string& name, const std::string& why,
                 ProgressSink& progress) {
    left_out[name] = why;
    progress.warn("left out of the measurements: " + why);
  }

  // One turn of a network, with the reference before, within and after it.
  void take_turn(NetworkRun& run, const CancelToken* cancel) {
    double before = last_reference ? *last_reference : reference.time_us();
    for (int look = 0; look < kMostLooks && !reference.is_quiet(before); ++look)
      before = reference.time_us();
    // Those that are not waited for say how it really was.
    double within = 0;
    bool usable = run.take_turn(options.turn_s, cancel,
                                [&] { within = reference.time_us(); });
    double after = reference.time_us();
    last_reference = after;
    ++turns;
    const double mean = (within + after) / 2;
    bool kept = usable && reference.is_quiet(mean);
    run.judge_turn(mean, kept);
    if (!kept) ++dropped;
    recent.push_back(kept);
    if (recent.size() > kRecentTurns) recent.pop_front();
  }

  // Then repeating a turn brings little.
  bool is_mostly_busy() const {
    return 2 * std::count(recent.begin(), recent.end(), false) >
           static_cast<ptrdiff_t>(kRecentTurns);
  }

  void take_rounds(std::vector<std::unique_ptr<NetworkRun>>& runs,
                   ProgressSink& progress, const CancelToken* cancel) {
    bool busy = true;
    const int most =
        options.rounds * (is_mostly_busy() ? 1 : kMaxTurnsPerRound);
    for (int round = 0; busy && round < most; ++round) {
      busy = false;
      // A budget that is nearly spent ends the repetitions, not the rounds.
      if (round >= options.rounds && seconds_left() < 0) break;
      for (auto& run : runs) {
        if (run->kept_turns() >= options.rounds) continue;
        take_turn(*run, cancel);
        busy = busy || run->kept_turns() < options.rounds;
        show_progress(progress);
      }
    }
  }

  void finish_group(std::vector<std::unique_ptr<NetworkRun>>& runs,
                    const OnGroup& on_group, ProgressSink& progress) {
    std::vector<ProfiledSample> profiled;
    for (auto& run : runs) {
      run->keep_quietest(options.rounds);
      if (run->kept_turns() < std::min(kMinKept, options.rounds)) {
        leave_out(run->name(),
                  run->name() + ": the machine was too busy in " +
                      std::to_string(run->turns() - run->kept_turns()) +
                      " of " + std::to_string(run->turns()) + " rounds",
                  progress);
      } else {
        try {
          profiled.push_back(run->finish());
          profiler_cost.learn(profiled.back());
          add_repeatability(profiled.back().sample);
        } catch (const Error& error) {
          leave_out(run->name(), error.what(), progress);
        }
      }
      run.reset();
    }
    std::vector<NetworkSample> samples;
    for (ProfiledSample& sample : profiled)
      samples.push_back(profiler_cost.corrected(std::move(sample)));
    show_progress(progress);
    if (!samples.empty()) on_group(samples);
  }

  void add_repeatability(const NetworkSample& sample) {
    auto [low, high] =
        std::minmax_element(sample.totals_us.begin(), sample.totals_us.end());
    double spread = *high / *low - 1;
    spreads.insert(std::upper_bound(spreads.begin(), spreads.end(), spread),
                   spread);
  }

  size_t measure(const std::vector<std::pair<std::string, Make>>& networks,
                 const OnGroup& on_group, ProgressSink& progress,
                 const CancelToken* cancel) {
    size_t next = 0;
    while (next < networks.size()) {
      double left = seconds_left();
      size_t fit = static_cast<size_t>(std::max(0.0, left / network_s));
      if (fit == 0) break;
      size_t most =
          std::min({measured ? static_cast<size_t>(options.group) : kFirstGroup,
                    fit, networks.size() - next});
      double start_s = seconds();
      std::vector<std::unique_ptr<NetworkRun>> runs;
      size_t count = 0;
      // What takes long to open also takes long to run.
      for (; count < most && (count == 0 || seconds() - start_s < left / 3);
           ++count) {
        size_t i = next + count;
        if (cancel) cancel->check();
        try {
          runs.push_back(networks[i].second());
        } catch (const Error& error) {
          if (error.kind() == ErrorKind::kInterrupted) throw;
          leave_out(networks[i].first, error.what(), progress);
        }
        show_progress(progress);
      }
      last_reference.reset();
      take_rounds(runs, progress, cancel);
      finish_group(runs, on_group, progress);
      next += count;
      double each = (seconds() - start_s) / static_cast<double>(count);
      network_s = measured ? (network_s + each) / 2 : each;
      measured = true;
    }
    return next;
  }

  const MeasureOptions options;
  Clock::time_point start = Clock::now();
  ScratchFolder folder;
  QuietReference reference;
  std::optional<double> last_reference;
  std::vector<double> spreads;  // sorted
  ProfilerCost profiler_cost;
  int64_t turns = 0, dropped = 0;
  std::deque<bool> recent;  // whether each of the last turns was kept
  double network_s = 0.3;   // what a network takes in all; a guess at first
  bool measured = false;
  uint64_t shown = 0;
  std::map<std::string, std::string> left_out;
};

NetworkMeasurer::NetworkMeasurer(const MeasureOptions& options)
    : state_(std::make_unique<State>(options)) {}

NetworkMeasurer::~NetworkMeasurer() = default;

size_t NetworkMeasurer::measure(std::span<const NetworkSpec> specs,
                                const OnGroup& on_group, ProgressSink& progress,
                                const CancelToken* cancel) {
  std::vector<std::pair<std::string, State::Make>> networks;
  for (const NetworkSpec& spec : specs)
    networks.emplace_back(name_of(spec), [this, &spec] {
      return std::make_unique<NetworkRun>(
          name_of(spec), spec.seed, random_network(spec),
          state_->options.threads, state_->folder.path());
    });
  return state_->measure(networks, on_group, progress, cancel);
}

size_t NetworkMeasurer::measure(std::vector<NamedModel> models,
                                const OnGroup& on_group, ProgressSink& progress,
                                const CancelToken* cancel) {
  std::vector<std::pair<std::string, State::Make>> networks;
  for (NamedModel& model : models)
    networks.emplace_back(model.name, [this, &model] {
      return std::make_unique<NetworkRun>(
          model.name, /*seed=*/0, std::move(model.model),
          state_->options.threads, state_->folder.path());
    });
  return state_->measure(networks, on_group, progress, cancel);
}

double NetworkMeasurer::seconds() const { return state_->seconds(); }
double NetworkMeasurer::seconds_left() const { return state_->seconds_left(); }

const std::map<std::string, std::string>& NetworkMeasurer::left_out() const {
  return state_->left_out;
}

NoiseCertificate NetworkMeasurer::noise() const {
  NoiseCertificate noise;
  noise.threads = state_->options.threads;
  noise.rounds = state_->turns;
  noise.dropped_rounds = state_->dropped;
  const std::vector<double>& references = state_->reference.times();
  if (!references.empty()) {
    noise.reference_us = quantile(references, 0.5);
    noise.drift = quantile(references, 0.9) / quantile(references, 0.1) - 1;
  }
  if (!state_->spreads.empty())
    noise.repeatability = quantile(state_->spreads, 0.5);
  return noise;
}

}  // namespace lathe::latency
