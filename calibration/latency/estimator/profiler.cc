#include "calibration/latency/estimator/profiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "calibration/latency/estimator/kernel_predictor.h"
#include "calibration/latency/kernel_source.h"
#include "calibration/latency/probe/describe_device.h"
#include "calibration/latency/probe/measure.h"
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Of a column's time: measured before the first look at what is uncertain.
constexpr double kBlindShare = 0.5;
// Networks looked at for each one that is then measured.
constexpr size_t kCandidatesPerPick = 3;
constexpr size_t kPicks = 32;  // between two fits
// Of the budget, kept for the last fit; more where an earlier fit took more.
constexpr double kFitShare = 0.06;
// Too few to fit, or to learn from.
constexpr size_t kMinNetworks = 20;

NoiseCertificate merge(const NoiseCertificate& a, const NoiseCertificate& b) {
  if (a.rounds == 0) return b;
  if (b.rounds == 0) return a;
  const double share =
      static_cast<double>(a.rounds) / static_cast<double>(a.rounds + b.rounds);
  NoiseCertificate sum = b;
  sum.rounds += a.rounds;
  sum.dropped_rounds += a.dropped_rounds;
  const auto mean = [&](double x, double y) {
    return share * x + (1 - share) * y;
  };
  sum.reference_us = mean(a.reference_us, b.reference_us);
  sum.drift = mean(a.drift, b.drift);
  sum.repeatability = mean(a.repeatability, b.repeatability);
  return sum;
}

// One thread count.
class Column {
 public:
  Column(Measurements& all, const ProfileOptions& options, int threads,
         double budget_s, const Checkpoint& checkpoint, ProgressSink& progress,
         const CancelToken* cancel)
      : all_(all),
        options_(options),
        threads_(threads),
        checkpoint_(checkpoint),
        progress_(progress),
        cancel_(cancel),
        seconds_before_(all.seconds),
        measurer_(measure_options(threads, budget_s)) {
    for (const NetworkSample& network : all.networks)
      if (network.threads == threads) done_.insert(network.name);
    for (const NoiseCertificate& noise : all.noise)
      if (noise.threads == threads) noise_before_ = noise;
  }

  void run() {
    try {
      blind();
      while (directed()) {
      }
    } catch (...) {
      account();
      throw;
    }
    account();
  }

 private:
  static MeasureOptions measure_options(int threads, double budget_s) {
    MeasureOptions options;
    options.threads = threads;
    options.budget_s = budget_s * (1 - kFitShare);
    return options;
  }

  double seconds_left() const { return measurer_.seconds_left() - fit_s_; }

  void account() {
    all_.seconds = seconds_before_ + measurer_.seconds();
    auto found = std::find_if(
        all_.noise.begin(), all_.noise.end(),
        [&](const NoiseCertificate& n) { return n.threads == threads_; });
    const NoiseCertificate noise = merge(noise_before_, measurer_.noise());
    if (found != all_.noise.end())
      *found = noise;
    else
      all_.noise.push_back(noise);
  }

  void measure(std::vector<NetworkSpec> specs) {
    std::erase_if(specs, [&](const NetworkSpec& spec) {
      return done_.contains(name_of(spec));
    });
    for (const NetworkSpec& spec : specs) done_.insert(name_of(spec));
    measurer_.measure(
        specs,
        [&](std::span<const NetworkSample> samples) {
          all_.networks.insert(all_.networks.end(), samples.begin(),
                               samples.end());
          account();
          if (checkpoint_) checkpoint_(all_);
        },
        progress_, cancel_);
  }

  size_t measured() const {
    return static_cast<size_t>(std::count_if(
        all_.networks.begin(), all_.networks.end(),
        [&](const NetworkSample& n) { return n.threads == threads_; }));
  }

  void blind() {
    const double end_s = measurer_.seconds_left() * (1 - kBlindShare);
    const bool fp16 = runtime_has_fp16();
    for (size_t count = 16; measurer_.seconds_left() > end_s; count += 16) {
      const size_t before = done_.size();
      measure(first_plan(count, options_.seed, fp16));
      // All of it was there already (a resumed run), or nothing fits any more.
      if (done_.size() == before && count > 4096) break;
      if (measurer_.seconds_left() < 1) break;
    }
  }

  // Fits, looks for what is uncertain, measures it; false at the end.
  bool directed() {
    if (seconds_left() < 2 || measured() < kMinNetworks) return false;
    Clock::time_point start = Clock::now();
    std::unique_ptr<KernelPredictor> predictor;
    try {
      predictor = fit_kernel_predictor(all_, threads_, /*folds=*/0);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInterrupted) throw;
      return false;
    }
    fit_s_ = 2 * seconds_since(start);
    if (cancel_) cancel_->check();
    std::vector<NetworkSpec> picks = pick(*predictor);
    const size_t before = measured();
    measure(std::move(picks));
    return measured() > before;
  }

  // The candidates whose time the predictor knows worst; a third as they come,
  // so that what it is wrongly sure of is seen as well.
  std::vector<NetworkSpec> pick(const KernelPredictor& predictor) {
    const uint64_t seed = derive_seed(
        options_.seed, "directed" + std::to_string(directed_rounds_++));
    std::vector<NetworkSpec> candidates =
        first_plan(kPicks * kCandidatesPerPick, seed);
    std::vector<NetworkSpec> picks(candidates.begin(),
                                   candidates.begin() + kPicks / 3);
    candidates.erase(candidates.begin(), candidates.begin() + kPicks / 3);
    std::vector<std::pair<double, size_t>> scores;
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (cancel_) cancel_->check();
      scores.emplace_back(-uncertainty(predictor, candidates[i]), i);
    }
    std::sort(scores.begin(), scores.end());
    for (const auto& [score, i] : scores) {
      if (picks.size() >= kPicks) break;
      picks.push_back(candidates[i]);
    }
    return picks;
  }

  // Mean over the network's kernels of the deviation, weighted by time.
  double uncertainty(const KernelPredictor& predictor,
                     const NetworkSpec& spec) const {
    ir::Model model = random_network(spec);
    ir::infer_shapes(model);
    RuntimeTraits traits = traits_of(all_.device);
    double sum = 0, total = 0;
    for (const DescribedKernel& kernel : kernels_by_rules(model, traits)) {
      const KernelPrediction p = predictor.predict(kernel.descriptor);
      const double us = std::exp(p.mean_log_us);
      sum += us * p.sd_log;
      total += us;
    }
    return total > 0 ? sum / total : 0;
  }

  Measurements& all_;
  const ProfileOptions& options_;
  int threads_;
  const Checkpoint& checkpoint_;
  ProgressSink& progress_;
  const CancelToken* cancel_;
  double seconds_before_;
  NetworkMeasurer measurer_;
  NoiseCertificate noise_before_;
  std::set<std::string> done_;
  double fit_s_ = 0;
  int directed_rounds_ = 0;
};

void check_device(const DeviceDescription& before,
                  const DeviceDescription& here) {
  if (before.cpu == here.cpu && before.name == here.name &&
      before.runtime_version == here.runtime_version)
    return;
  throw_input("lathe profile",
              fmt::format("the measurements to go on with are of '{}' with "
                          "ONNX Runtime {}, this machine is '{}' with {}",
                          before.cpu, before.runtime_version, here.cpu,
                          here.runtime_version),
              "profile anew without --resume");
}

}  // namespace

Measurements measure_device(const ProfileOptions& options,
                            Measurements measured, const Checkpoint& checkpoint,
                            ProgressSink& progress, const CancelToken* cancel) {
  const DeviceDescription here = describe_device();
  if (!measured.networks.empty())
    check_device(measured.device, here);
  else
    measured.seed = options.seed;
  measured.device = here;
  const double left = options.budget_s - measured.seconds;
  progress.begin("profile", static_cast<uint64_t>(std::max(0.0, left) * 10));
  // Columns that a first run had finished get no more.
  size_t waiting = options.threads.size();
  double remaining = left;
  for (int threads : options.threads) {
    const double share = remaining / static_cast<double>(waiting--);
    if (share > 0) {
      const auto start = Clock::now();
      Column(measured, options, threads, share, checkpoint, progress, cancel)
          .run();
      remaining -= seconds_since(start);
    }
  }
  progress.end();
  return measured;
}

DeviceFile fit_device(const Measurements& measurements) {
  DeviceFile file;
  file.device = measurements.device;
  file.traits = traits_of(measurements.device);
  file.seed = measurements.seed;
  file.seconds = measurements.seconds;
  std::set<int> counts;
  for (const NetworkSample& network : measurements.networks)
    counts.insert(network.threads);
  if (counts.empty())
    throw_input("measurements", "no network was measured",
                "give more time: --budget 180s");
  for (int threads : counts) {
    DeviceColumn column;
    column.threads = threads;
    column.noise.threads = threads;
    for (const NoiseCertificate& noise : measurements.noise)
      if (noise.threads == threads) column.noise = noise;
    for (const NetworkSample& network : measurements.networks) {
      if (network.threads != threads) continue;
      ++column.networks;
      column.kernels += static_cast<int64_t>(network.kernels.size());
    }
    column.predictor = fit_kernel_predictor(measurements, threads);
    file.columns.push_back(std::move(column));
  }
  return file;
}

}  // namespace lathe::latency
