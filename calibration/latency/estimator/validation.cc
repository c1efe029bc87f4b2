#include "calibration/latency/estimator/validation.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "calibration/latency/session.h"
#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

// A network is measured again while its two fastest passes differ by more.
constexpr double kAgree = 0.02;
constexpr int kMostPasses = 5;

struct Opened {
  std::unique_ptr<Session> session;
  NamedTensors inputs;
};

Opened open(const ir::Model& model, const ValidationOptions& options,
            const std::string& name) {
  SessionOptions session;
  session.threads = options.threads;
  Opened opened;
  opened.inputs =
      random_inputs(model, ir::default_input_shapes(model, {}), options.seed);
  opened.session = Session::open(model, session, name);
  return opened;
}

// Counts up in steps of one network; bench's own bar would start anew for
// each group.
std::vector<MeasuredLatency> measure(const std::vector<Opened>& group,
                                     const ValidationOptions& options,
                                     const CancelToken* cancel) {
  std::vector<BenchSubject> subjects;
  for (const Opened& opened : group)
    subjects.push_back({"", opened.session.get(), opened.inputs});
  BenchOptions bench_options;
  bench_options.threads = options.threads;
  bench_options.min_seconds = options.seconds;
  bench_options.seed = options.seed;
  bench_options.min_runs = 10;
  return bench(subjects, bench_options, silent_progress(), cancel);
}

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

std::vector<ValidationRow> validate_estimates(
    const LatencyModel& device, std::span<const ValidationSubject> subjects,
    const ValidationOptions& options, ProgressSink& progress,
    const CancelToken* cancel) {
  std::vector<ValidationRow> rows(subjects.size());
  progress.begin("validate", 2 * subjects.size());
  const auto group_size = static_cast<size_t>(std::max(1, options.group));
  std::vector<size_t> todo(subjects.size());
  std::iota(todo.begin(), todo.end(), size_t{0});
  for (int pass = 0; pass < kMostPasses && !todo.empty(); ++pass) {
    for (size_t start = 0; start < todo.size(); start += group_size) {
      if (cancel) cancel->check();
      const size_t end = std::min(todo.size(), start + group_size);
      std::vector<Opened> group;
      for (size_t at = start; at < end; ++at) {
        const ValidationSubject& subject = subjects[todo[at]];
        ValidationRow& row = rows[todo[at]];
        const ir::Model model = subject.build();
        if (pass == 0) {
          const GraphEstimate estimate = device.estimate(model);
          row.name = subject.name;
          row.estimate = estimate.latency;
          row.unseen_share = estimate.unseen_share;
        }
        group.push_back(open(model, options, subject.name));
      }
      const auto measured = measure(group, options, cancel);
      for (size_t at = start; at < end; ++at) {
        ValidationRow& row = rows[todo[at]];
        const MeasuredLatency& latency = measured[at - start];
        row.passes_us.insert(
            std::upper_bound(row.passes_us.begin(), row.passes_us.end(),
                             latency.p10_us),
            latency.p10_us);
        row.noisy |= latency.noisy;
      }
      if (pass < 2) progress.advance(end - start);
    }
    if (pass > 0)
      std::erase_if(todo, [&](size_t i) {
        return rows[i].repeated_us() <= (1 + kAgree) * rows[i].measured_us();
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
    if (!keep || keep(row))
      errors.push_back(row.repeated_us() / row.measured_us() - 1);
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
