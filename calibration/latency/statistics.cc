#include "calibration/latency/statistics.h"

#include <algorithm>
#include <cmath>

namespace lathe::latency {
namespace {

constexpr size_t kMinRunsToTell = 10;
constexpr double kMaxSpread = 1.5;
constexpr double kMaxDrift = 1.1;
constexpr double kMaxWaiting = 1.1;

std::vector<double> sorted(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

double quantile(const std::vector<double>& sorted, double q) {
  double position = q * static_cast<double>(sorted.size() - 1);
  size_t below = static_cast<size_t>(position);
  size_t above = std::min(below + 1, sorted.size() - 1);
  double share = position - static_cast<double>(below);
  return sorted[below] + share * (sorted[above] - sorted[below]);
}

bool is_noisy(const std::vector<double>& latencies_us) {
  if (latencies_us.size() < kMinRunsToTell) return true;
  std::vector<double> all = sorted(latencies_us);
  if (quantile(all, 0.9) > kMaxSpread * quantile(all, 0.1)) return true;
  auto third = static_cast<std::ptrdiff_t>(latencies_us.size() / 3);
  double first = quantile(
      sorted({latencies_us.begin(), latencies_us.begin() + third}), 0.5);
  double last =
      quantile(sorted({latencies_us.end() - third, latencies_us.end()}), 0.5);
  return std::max(first, last) > kMaxDrift * std::min(first, last);
}

bool is_interrupted(const std::vector<double>& latencies_us,
                    const std::vector<double>& processor_us) {
  if (latencies_us.empty() || processor_us.empty()) return false;
  return quantile(sorted(latencies_us), 0.5) >
         kMaxWaiting * quantile(sorted(processor_us), 0.5);
}

MeasuredLatency summarize(const std::vector<double>& latencies_us) {
  MeasuredLatency result;
  result.runs = static_cast<int64_t>(latencies_us.size());
  result.noisy = is_noisy(latencies_us);
  if (latencies_us.empty()) return result;
  std::vector<double> all = sorted(latencies_us);
  result.min_us = all.front();
  result.p10_us = quantile(all, 0.1);
  result.median_us = quantile(all, 0.5);
  result.p90_us = quantile(all, 0.9);
  return result;
}

}  // namespace lathe::latency
