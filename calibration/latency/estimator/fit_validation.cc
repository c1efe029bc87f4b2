#include "calibration/latency/estimator/fit_validation.h"

#include <algorithm>
#include <cmath>

#include "calibration/latency/estimator/rounding.h"
#include "passes/base/jobs.h"

namespace lathe::latency {
namespace {

void scale_spread(KernelPrediction& prediction, const SpreadScales& scales,
                  const std::string& cell) {
  auto found = scales.find(cell);
  if (prediction.seen && found != scales.end())
    prediction.sd_log *= found->second;
}

}  // namespace

std::string fold_key(const std::string& network) {
  for (const char* precision : {"-int8", "-fp32", "-fp16"})
    if (network.ends_with(precision))
      return network.substr(0, network.size() - 5);
  return network;
}

std::vector<int> assign_folds(const std::vector<NetworkSample>& networks,
                              int folds) {
  std::map<std::string, double> longest;
  for (const NetworkSample& network : networks) {
    double& time = longest[fold_key(network.name)];
    time = std::max(time, middle_of(network.totals_us));
  }
  std::vector<std::pair<double, std::string>> by_time;
  for (const auto& [key, time] : longest) by_time.emplace_back(time, key);
  std::sort(by_time.begin(), by_time.end());
  std::map<std::string, int> fold_of;
  for (size_t i = 0; i < by_time.size(); ++i)
    fold_of[by_time[i].second] = static_cast<int>(i) % folds;
  std::vector<int> fold;
  for (const NetworkSample& network : networks)
    fold.push_back(fold_of.at(fold_key(network.name)));
  return fold;
}

HeldOut predict_held_out(const std::vector<NetworkSample>& networks,
                         const std::vector<int>& fold, int folds, int lanes,
                         const FitOptions& options) {
  HeldOut held_out;
  held_out.fold = fold;
  held_out.kernels.resize(networks.size());
  FitOptions serial = options;
  serial.jobs = 1;
  parallel_for(
      static_cast<size_t>(folds), effective_jobs(options.jobs), [&](size_t f) {
        std::vector<char> chosen;
        for (int other : fold) chosen.push_back(other != static_cast<int>(f));
        KernelModel model =
            fit_kernel_model(observe(networks, chosen, serial), lanes, serial);
        for (size_t i = 0; i < networks.size(); ++i)
          if (!chosen[i])
            for (const KernelSample& sample : networks[i].kernels)
              held_out.kernels[i].push_back(model.predict(sample.kernel));
      });
  return held_out;
}

SpreadScales spread_scales(const std::vector<NetworkSample>& networks,
                           const HeldOut& held_out, int left_out) {
  constexpr double kNormalMedian = 0.6745;  // of |z|
  constexpr double kPull = 15;              // observations' worth of 1
  std::map<std::string, std::vector<double>> errors;
  const std::vector<double> noise = noise_of(networks);
  for (size_t i = 0; i < networks.size(); ++i) {
    if (held_out.fold[i] == left_out || noise[i] > kMostQuietNoise) continue;
    for (size_t k = 0; k < networks[i].kernels.size(); ++k) {
      const KernelSample& sample = networks[i].kernels[k];
      const KernelPrediction& p = held_out.kernels[i][k];
      double time = middle_of(sample.times_us);
      if (!p.seen || !(time > 0) || !(p.sd_log > 0)) continue;
      const double predicted = std::exp(p.mean_log_us);
      errors[cell_of(sample.kernel)].push_back(
          std::abs(soft_log(time) - soft_log(predicted)) /
          (p.sd_log * predicted / (predicted + kShortUs)));
    }
  }
  SpreadScales scales;
  for (auto& [cell, z] : errors) {
    auto middle = z.begin() + static_cast<ptrdiff_t>(z.size() / 2);
    std::nth_element(z.begin(), middle, z.end());
    double own = std::clamp(*middle / kNormalMedian, 0.3, 3.0);
    double n = static_cast<double>(z.size());
    scales[cell] = rounded(std::exp(n / (n + kPull) * std::log(own)), 4);
  }
  return scales;
}

std::vector<NetworkCase> cases_of(const std::vector<NetworkSample>& networks,
                                  const HeldOut& held_out,
                                  const SpreadScales& scales, int left_out) {
  std::vector<NetworkCase> cases;
  const std::vector<double> noise = noise_of(networks);
  for (size_t i = 0; i < networks.size(); ++i) {
    if (held_out.fold[i] == left_out) continue;
    NetworkCase c{held_out.kernels[i], middle_of(networks[i].totals_us),
                  noise[i]};
    if (!(c.measured_us > 0) || c.kernels.empty()) continue;
    for (size_t k = 0; k < c.kernels.size(); ++k)
      scale_spread(c.kernels[k], scales,
                   cell_of(networks[i].kernels[k].kernel));
    cases.push_back(std::move(c));
  }
  return cases;
}

std::vector<NetworkPrediction> validate(
    const std::vector<NetworkSample>& networks, const HeldOut& held_out,
    int folds) {
  std::vector<NetworkPrediction> predictions(networks.size());
  parallel_for(static_cast<size_t>(folds), effective_jobs(0), [&](size_t f) {
    int fold = static_cast<int>(f);
    SpreadScales scales = spread_scales(networks, held_out, fold);
    std::vector<NetworkCase> cases = cases_of(networks, held_out, scales, fold);
    if (cases.empty()) return;
    NetworkModel model = fit_network_model(cases);
    for (size_t i = 0; i < networks.size(); ++i) {
      if (held_out.fold[i] != fold) continue;
      std::vector<KernelPrediction> kernels = held_out.kernels[i];
      for (size_t k = 0; k < kernels.size(); ++k)
        scale_spread(kernels[k], scales,
                     cell_of(networks[i].kernels[k].kernel));
      predictions[i] = model.predict(kernels);
    }
  });
  return predictions;
}

ValidationError error_of(const std::vector<NetworkSample>& networks,
                         const std::vector<NetworkPrediction>& predictions) {
  ValidationError error;
  const std::vector<double> noise = noise_of(networks);
  for (size_t i = 0; i < networks.size(); ++i) {
    double measured = middle_of(networks[i].totals_us);
    const NetworkPrediction& p = predictions[i];
    if (!(measured > 0) || !(p.p50_us > 0) || noise[i] > kMostQuietNoise)
      continue;
    double off = std::abs(p.p50_us / measured - 1);
    ++error.networks;
    error.mape += off;
    error.rmspe += off * off;
    error.within_5 += off <= 0.05;
    error.within_10 += off <= 0.10;
    error.coverage += measured >= p.p5_us && measured <= p.p95_us;
  }
  if (error.networks == 0) return error;
  double n = static_cast<double>(error.networks);
  error.mape = rounded(error.mape / n, 6);
  error.rmspe = rounded(std::sqrt(error.rmspe / n), 6);
  error.within_5 = rounded(error.within_5 / n, 6);
  error.within_10 = rounded(error.within_10 / n, 6);
  error.coverage = rounded(error.coverage / n, 6);
  return error;
}

}  // namespace lathe::latency
