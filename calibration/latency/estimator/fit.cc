#include "calibration/latency/estimator/fit.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

#include "calibration/latency/estimator/fit_baseline.h"
#include "calibration/latency/estimator/rounding.h"
#include "passes/base/jobs.h"
#include "passes/base/random.h"

namespace lathe::latency {
namespace {

// Fewer observations of a kind share their cell's prices but for a factor.
constexpr int64_t kOwnPrices = 8;
// Kinds with fewer are not told apart by the regressors.
constexpr int64_t kToldApart = 6;
constexpr size_t kMostTold = 40;
// Below this a time is the profiler's noise.
constexpr double kLeastMeasured = 0.1;
// Undisturbed rounds repeat within this share and this time.
constexpr double kRepeats = 0.03, kRepeatsUs = 0.2;
constexpr size_t kLeastOfProcess = 10, kLeastOfTrees = 40;

std::vector<PricedPoint> points_of(const std::vector<Observation>& chosen,
                                   int lanes) {
  std::vector<PricedPoint> points;
  for (const Observation& o : chosen)
    points.push_back(
        {physical_terms(*o.kernel, lanes), o.time_us, 1 / o.noise});
  return points;
}

// The factor by which a kind differs from its cell, drawn towards 1 as by two
// observations.
double kind_factor(const Terms& prices,
                   const std::vector<PricedPoint>& points) {
  double sum = 0, weight = 2;
  for (const PricedPoint& p : points) {
    const double price = priced(prices, p.terms);
    const double own = p.weight / short_time_noise(price);
    sum += own * std::clamp(soft_log(p.time_us) - soft_log(price), -2.0, 2.0);
    weight += own;
  }
  return std::exp(sum / weight);
}

void fit_kinds(Cell& cell, const std::vector<Observation>& chosen, int lanes) {
  cell.prices = fit_prices(points_of(chosen, lanes));
  std::map<std::string, std::vector<Observation>> by_kind;
  for (const Observation& o : chosen) by_kind[o.kernel->kind].push_back(o);
  for (const auto& [kind, own] : by_kind) {
    KindPrices& entry = cell.kinds[kind];
    entry.prices = cell.prices;
    for (const Observation& o : own) entry.samples += o.count;
    if (by_kind.size() > 1) {
      std::vector<PricedPoint> points = points_of(own, lanes);
      double factor = kind_factor(cell.prices, points);
      for (double& price : entry.prices) price = rounded(price * factor, 6);
      if (static_cast<int64_t>(own.size()) >= kOwnPrices)
        entry.prices = fit_prices(points, entry.prices, 2);
      if (static_cast<int64_t>(own.size()) >= kToldApart &&
          cell.told_kinds.size() < kMostTold)
        cell.told_kinds.push_back(kind);
    }
  }
  if (cell.told_kinds.size() == 1) cell.told_kinds.clear();
}

// Features that at least three observations have otherwise than the rest.
void choose_features(Cell& cell, const std::vector<Features>& all) {
  for (size_t f = 0; f < kFeatures; ++f) {
    std::unordered_map<float, size_t> seen;
    size_t most = 0;
    for (const Features& features : all)
      most = std::max(most, ++seen[features[f]]);
    if (all.size() - most >= 3) cell.features.push_back(static_cast<int>(f));
  }
}

Cell fit_cell(const std::string& name, const std::vector<Observation>& chosen,
              int lanes, const FitOptions& options) {
  Cell cell;
  fit_kinds(cell, chosen, lanes);
  std::vector<Features> all;
  for (const Observation& o : chosen)
    all.push_back(kernel_features(*o.kernel, lanes));
  choose_features(cell, all);
  RegressionData data;
  auto n = static_cast<Eigen::Index>(chosen.size());
  data.features.resize(n, static_cast<Eigen::Index>(cell.inputs()));
  data.target.resize(n);
  data.noise.resize(n);
  std::vector<float> inputs(cell.inputs());
  double squares = 0, weights = 0;
  for (Eigen::Index i = 0; i < n; ++i) {
    const Observation& o = chosen[static_cast<size_t>(i)];
    Terms terms = physical_terms(*o.kernel, lanes);
    const Terms& prices = cell.kinds.at(o.kernel->kind).prices;
    cell.describe(*o.kernel, terms, all[static_cast<size_t>(i)], prices,
                  inputs.data());
    for (size_t c = 0; c < inputs.size(); ++c)
      data.features(i, static_cast<Eigen::Index>(c)) =
          static_cast<double>(inputs[c]);
    const double price = priced(prices, terms);
    data.target[i] =
        std::clamp(soft_log(o.time_us) - soft_log(price), -2.5, 2.5);
    data.noise[i] = short_time_noise(price) * o.noise;
    data.group.push_back(o.network);
    squares += data.target[i] * data.target[i] / o.noise;
    weights += 1 / o.noise;
  }
  cell.spread = rounded(std::sqrt((squares + 3 * 0.09) / (weights + 3)), 4);
  cell.process_share = options.process_share;
  if (chosen.size() >= kLeastOfProcess)
    cell.process = GaussianProcess::fit(data, options.process);
  if (chosen.size() >= kLeastOfTrees && options.process_share < 1) {
    // What few points can tell needs few leaves.
    BoostedTreesOptions trees = options.trees;
    if (chosen.size() < 400) trees.depth = std::min(trees.depth, 4);
    if (chosen.size() < 150) trees.depth = std::min(trees.depth, 3);
    cell.trees = BoostedTrees::fit(data, trees, derive_seed(1, name));
  }
  return cell;
}

// Prices alone, of every kernel.
Cell fit_fallback(const std::vector<Observation>& observations, int lanes) {
  Cell cell;
  std::vector<PricedPoint> points = points_of(observations, lanes);
  cell.prices = fit_prices(points);
  double squares = 0;
  for (const PricedPoint& p : points) {
    double error = soft_log(p.time_us) - soft_log(priced(cell.prices, p.terms));
    squares += std::min(error * error, 6.0);
  }
  cell.spread =
      rounded(std::sqrt(squares / std::max<double>(
                                      1, static_cast<double>(points.size()))),
              4);
  return cell;
}

}  // namespace

double middle_of(std::vector<float> times_us) {
  if (times_us.empty()) return 0;
  const double fastest =
      static_cast<double>(*std::min_element(times_us.begin(), times_us.end()));
  double sum = 0, count = 0;
  for (float time : times_us) {
    const double us = static_cast<double>(time);
    if (us > fastest * (1 + kRepeats) + kRepeatsUs) continue;
    sum += us;
    ++count;
  }
  return sum / count;
}

std::vector<double> noise_of(const std::vector<NetworkSample>& networks) {
  // What the reference kernel varies by on a quiet machine; how much more than
  // it a network may be slowed down; the noise of a quiet network.
  constexpr double kQuiet = 0.03, kFollows = 1.5, kUsualNoise = 0.03;
  std::vector<float> all;
  for (const NetworkSample& network : networks)
    all.insert(all.end(), network.reference_us.begin(),
               network.reference_us.end());
  std::vector<double> noise(networks.size(), 1);
  if (all.empty()) return noise;
  auto tenth = all.begin() + static_cast<ptrdiff_t>(all.size() / 10);
  std::nth_element(all.begin(), tenth, all.end());
  for (size_t i = 0; i < networks.size(); ++i) {
    const std::vector<float>& own = networks[i].reference_us;
    if (own.empty()) continue;
    double sum = 0;
    for (float time : own) sum += static_cast<double>(time);
    const double slower =
        sum / static_cast<double>(own.size()) / static_cast<double>(*tenth) - 1;
    const double share =
        kFollows * std::max(0.0, slower - kQuiet) / kUsualNoise;
    noise[i] += share * share;
  }
  return noise;
}

std::vector<Observation> observe(const std::vector<NetworkSample>& networks,
                                 const std::vector<char>& chosen,
                                 const FitOptions& options) {
  std::vector<Observation> all;
  const std::vector<double> noise = noise_of(networks);
  struct Hash {
    size_t operator()(const KernelDescriptor* k) const {
      return hash_value(*k);
    }
  };
  struct Equal {
    bool operator()(const KernelDescriptor* a,
                    const KernelDescriptor* b) const {
      return *a == *b;
    }
  };
  for (size_t i = 0; i < networks.size(); ++i) {
    if (!chosen[i]) continue;
    double sum = 0;
    std::vector<double> times;
    for (const KernelSample& sample : networks[i].kernels) {
      times.push_back(std::max(middle_of(sample.times_us), kLeastMeasured));
      sum += times.back();
    }
    double ratio = std::pow(
        std::clamp(middle_of(networks[i].totals_us) / std::max(sum, 1e-6), 0.5,
                   1.5),
        options.follow_total);
    std::unordered_map<const KernelDescriptor*, size_t, Hash, Equal> seen;
    for (size_t s = 0; s < times.size(); ++s) {
      double time = std::max(times[s] * ratio, kLeastMeasured);
      const KernelDescriptor* kernel = &networks[i].kernels[s].kernel;
      auto [found, added] = seen.emplace(kernel, all.size());
      if (added) {
        all.push_back({kernel, time, 1, static_cast<int>(i), noise[i]});
        continue;
      }
      Observation& o = all[found->second];
      o.time_us = (o.time_us * o.count + time) / (o.count + 1);
      ++o.count;
    }
  }
  return all;
}

KernelModel fit_kernel_model(const std::vector<Observation>& observations,
                             int lanes, const FitOptions& options) {
  std::map<std::string, std::vector<Observation>> cells;
  for (const Observation& o : observations)
    cells[cell_of(*o.kernel)].push_back(o);
  // Cells too small for their own regressor join their family's.
  std::map<std::string, std::vector<Observation>> joined;
  for (auto& [name, chosen] : cells) {
    bool alone = static_cast<int>(chosen.size()) >= options.least_of_cell;
    std::vector<Observation>& to =
        joined[alone ? name : name.substr(0, name.find('/'))];
    to.insert(to.end(), chosen.begin(), chosen.end());
  }
  std::vector<const std::string*> names;
  for (const auto& [name, chosen] : joined) names.push_back(&name);
  std::vector<Cell> fitted(names.size());
  parallel_for(names.size(), effective_jobs(options.jobs), [&](size_t i) {
    fitted[i] = fit_cell(*names[i], joined.at(*names[i]), lanes, options);
  });
  KernelModel model;
  model.lanes = lanes;
  for (size_t i = 0; i < names.size(); ++i)
    model.cells.emplace(*names[i], std::move(fitted[i]));
  model.fallback = fit_fallback(observations, lanes);
  return model;
}

int vector_lanes(const DeviceDescription& device) {
  auto has = [&](const char* set) {
    return std::find(device.instruction_sets.begin(),
                     device.instruction_sets.end(),
                     set) != device.instruction_sets.end();
  };
  if (has("avx512f")) return 16;
  if (has("avx2") || has("avx") || device.architecture == "x86-64") return 8;
  return 4;
}

}  // namespace lathe::latency
