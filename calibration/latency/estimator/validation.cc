#include "calibration/latency/estimator/validation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>

#include "calibration/latency/bench.h"
#include "calibration/latency/probe/reference_kernel.h"
#include "calibration/latency/session.h"
#include "calibration/latency/statistics.h"
#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

// A network is measured again while its last two passes differ by more.
constexpr double kAgree = 0.02;
constexpr int kMostPasses = 5;
constexpr double kSessionsDiffer = 0.1;

constexpr double kLowQuantile = 0.1;
constexpr double kTurnSeconds = 0.02, kWarmUpSeconds = 0.005,
                 kSettleSeconds = 0.005;
constexpr int kTurnRuns = 3;       // at least
constexpr size_t kLeastRuns = 10;  // of a pass

class Subject {
 public:
  Subject(const ir::Model& model, const ValidationOptions& options,
          const std::string& name)
      : threads_(options.threads), seconds_(options.seconds) {
    SessionOptions session;
    session.threads = options.threads;
    session_ = Session::open(model, session, name);
    bound_ = session_->bind(random_inputs(
        model, ir::default_input_shapes(model, {}), options.seed));
    const auto start = Clock::now();
    do {
      bound_->run();
    } while (seconds_since(start) < kWarmUpSeconds);
  }

  bool done() const { return spent_ >= seconds_ && count_ >= kLeastRuns; }

  void take_turn(QuietReference& reference) {
    const double before = reference.time_us();
    settle();
    Turn turn;
    const auto start = Clock::now();
    while (seconds_since(start) < kTurnSeconds ||
           turn.times_us.size() < static_cast<size_t>(kTurnRuns)) {
      const auto run_start = Clock::now();
      bound_->run();
      turn.times_us.push_back(seconds_since(run_start) * 1e6);
    }
    spent_ += seconds_since(start);
    count_ += turn.times_us.size();
    turn.reference_us = (before + reference.time_us()) / 2;
    turns_.push_back(std::move(turn));
  }

  ValidationRow::Pass result(const QuietReference& reference) const {
    std::vector<double> quiet, all;
    for (const Turn& turn : turns_) {
      all.insert(all.end(), turn.times_us.begin(), turn.times_us.end());
      if (reference.is_quiet(turn.reference_us))
        quiet.insert(quiet.end(), turn.times_us.begin(), turn.times_us.end());
    }
    std::vector<double>& chosen = quiet.empty() ? all : quiet;
    std::sort(chosen.begin(), chosen.end());
    return {quantile(chosen, kLowQuantile), quiet.empty()};
  }

 private:
  using Clock = std::chrono::steady_clock;
  // Brings the caches back and, with more threads, waits until the workers of
  // the session before no longer look for work.
  void settle() {
    const auto start = Clock::now();
    do {
      bound_->run();
    } while (threads_ > 1 && seconds_since(start) < kSettleSeconds);
  }
  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
  struct Turn {
    std::vector<double> times_us;
    double reference_us = 0;
  };
  int threads_;
  double seconds_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Session::Bound> bound_;
  std::vector<Turn> turns_;
  double spent_ = 0;
  size_t count_ = 0;
};

ValidationError errors_of(const std::vector<double>& errors) {
  ValidationError result;
  result.networks = static_cast<int64_t>(errors.size());
  if (errors.empty()) return result;
  const auto count = static_cast<double>(errors.size());
  for (double error : errors) {
    result.mape += std::abs(error) / count;
    result.rmspe += error * error / count;
    result.within_5 += (std::abs(error) <= 0.05) / count;
    result.within_10 += (std::abs(error) <= 0.10) / count;
  }
  result.rmspe = std::sqrt(result.rmspe);
  return result;
}

std::vector<double> ranks(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> result(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t k = i; k < end; ++k)
      result[order[k]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return result;
}

}  // namespace

bool ValidationRow::noisy() const {
  return std::all_of(passes.begin(), passes.end(),
                     [](const Pass& pass) { return pass.noisy; });
}

double ValidationRow::measured_us() const {
  const bool none_quiet = noisy();
  std::vector<double> times;
  for (const Pass& pass : passes)
    if (none_quiet || !pass.noisy) times.push_back(pass.low_us);
  std::sort(times.begin(), times.end());
  if (none_quiet) return times.front();
  std::erase_if(times, [most = (1 + kSessionsDiffer) * times.front()](
                           double time) { return time > most; });
  return quantile(times, 0.5);
}

std::vector<ValidationRow> validate_estimates(
    const LatencyModel& device, std::span<const ValidationSubject> subjects,
    const ValidationOptions& options, ProgressSink& progress,
    const CancelToken* cancel) {
  std::vector<ValidationRow> rows(subjects.size());
  progress.begin("validate", 2 * subjects.size());
  const auto group_size = static_cast<size_t>(std::max(1, options.group));
  std::vector<size_t> waiting(subjects.size());
  std::iota(waiting.begin(), waiting.end(), size_t{0});
  QuietReference reference;
  for (int pass = 0; pass < kMostPasses && !waiting.empty(); ++pass) {
    for (size_t start = 0; start < waiting.size(); start += group_size) {
      const size_t end = std::min(waiting.size(), start + group_size);
      std::vector<Subject> group;
      for (size_t at = start; at < end; ++at) {
        if (cancel) cancel->check();
        const ValidationSubject& subject = subjects[waiting[at]];
        ValidationRow& row = rows[waiting[at]];
        const ir::Model model = subject.build();
        if (pass == 0) {
          const GraphEstimate estimate = device.estimate(model);
          row.name = subject.name;
          row.estimate = estimate.latency;
          row.unseen_share = estimate.unseen_share;
        }
        group.emplace_back(model, options, subject.name);
      }
      for (bool busy = true; busy;) {
        busy = false;
        for (Subject& subject : group) {
          if (cancel) cancel->check();
          if (subject.done()) continue;
          subject.take_turn(reference);
          busy |= !subject.done();
        }
      }
      for (size_t at = start; at < end; ++at)
        rows[waiting[at]].passes.push_back(group[at - start].result(reference));
      if (pass < 2) progress.advance(end - start);
    }
    if (pass > 0)
      std::erase_if(waiting, [&](size_t i) {
        const double last = rows[i].passes.back().low_us;
        return std::abs(last / rows[i].passes.rbegin()[1].low_us - 1) <= kAgree;
      });
  }
  progress.end();
  return rows;
}

ValidationError summarize_errors(
    std::span<const ValidationRow> rows,
    const std::function<bool(const ValidationRow&)>& keep) {
  std::vector<double> errors;
  double covered = 0;
  for (const ValidationRow& row : rows) {
    if (keep && !keep(row)) continue;
    errors.push_back(row.error());
    covered += row.measured_us() >= row.estimate.p5_us &&
               row.measured_us() <= row.estimate.p95_us;
  }
  ValidationError result = errors_of(errors);
  if (!errors.empty())
    result.coverage = covered / static_cast<double>(errors.size());
  return result;
}

ValidationError noise_floor(
    std::span<const ValidationRow> rows,
    const std::function<bool(const ValidationRow&)>& keep) {
  std::vector<double> errors;
  for (const ValidationRow& row : rows)
    if (!keep || keep(row)) errors.push_back(row.repeat_error());
  return errors_of(errors);
}

double spearman(std::span<const double> a, std::span<const double> b) {
  const size_t n = std::min(a.size(), b.size());
  if (n < 2) return 0;
  const std::vector<double> x = ranks(a.first(n)), y = ranks(b.first(n));
  const double mean = static_cast<double>(n - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < n; ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace lathe::latency
