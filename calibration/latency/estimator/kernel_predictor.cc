#include "calibration/latency/estimator/kernel_predictor.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "calibration/latency/estimator/fit_validation.h"
#include "calibration/latency/estimator/kernel_predictor_json.h"
#include "passes/base/error.h"

namespace lathe::latency {
namespace {

class FittedPredictor : public KernelPredictor {
 public:
  explicit FittedPredictor(PredictorState state) : state_(std::move(state)) {}

  KernelPrediction predict(const KernelDescriptor& kernel) const override {
    return state_.kernels.predict(kernel);
  }
  NetworkPrediction network(
      const std::vector<KernelPrediction>& kernels) const override {
    return state_.network.predict(kernels);
  }
  std::map<std::string, int64_t> coverage() const override {
    std::map<std::string, int64_t> samples;
    for (const auto& [name, cell] : state_.kernels.cells)
      for (const auto& [kind, entry] : cell.kinds)
        samples[kind] += entry.samples;
    return samples;
  }
  Json to_json() const override { return predictor_json(state_); }
  const ValidationError& validation() const override {
    return state_.validation;
  }

 private:
  PredictorState state_;
};

constexpr size_t kLeastNetworks = 4;

std::vector<NetworkSample> usable_networks(const Measurements& measurements,
                                           int threads) {
  std::vector<NetworkSample> networks;
  std::set<std::string> keys;
  for (const NetworkSample& network : measurements.networks)
    if (network.threads == threads && !network.kernels.empty() &&
        middle_of(network.totals_us) > 0) {
      networks.push_back(network);
      keys.insert(fold_key(network.name));
    }
  if (keys.size() < kLeastNetworks)
    throw_input("",
                "there are measurements of " + std::to_string(keys.size()) +
                    " different networks with " + std::to_string(threads) +
                    (threads == 1 ? " thread" : " threads") +
                    ", and fitting needs at least " +
                    std::to_string(kLeastNetworks),
                "measure for longer");
  return networks;
}

// What takes the place of held-out predictions where none were asked for.
HeldOut predict_seen(const std::vector<NetworkSample>& networks,
                     const KernelModel& model) {
  HeldOut seen;
  for (const NetworkSample& network : networks) {
    seen.fold.push_back(0);
    seen.kernels.emplace_back();
    for (const KernelSample& sample : network.kernels)
      seen.kernels.back().push_back(model.predict(sample.kernel));
  }
  return seen;
}

}  // namespace

std::unique_ptr<KernelPredictor> fit_kernel_predictor(
    const Measurements& measurements, int threads, int folds) {
  std::vector<NetworkSample> networks = usable_networks(measurements, threads);
  std::set<std::string> keys;
  for (const NetworkSample& network : networks)
    keys.insert(fold_key(network.name));
  folds = std::min(folds, static_cast<int>(keys.size()));
  const int lanes = vector_lanes(measurements.device);
  FitOptions options;
  // Without folds the fit is for looking at while measuring goes on.
  if (folds < 2) {
    options.process.steps = 12;
    options.trees.trees = 60;
    options.trees.rate = 0.15;
  }
  PredictorState state;
  HeldOut held_out;
  if (folds > 1)
    held_out = predict_held_out(networks, assign_folds(networks, folds), folds,
                                lanes, options);
  state.kernels = fit_kernel_model(
      observe(networks, std::vector<char>(networks.size(), 1), options), lanes,
      options);
  if (folds > 1)
    state.validation = error_of(networks, validate(networks, held_out, folds));
  else
    held_out = predict_seen(networks, state.kernels);
  SpreadScales scales = spread_scales(networks, held_out, -1);
  if (folds > 1)
    for (auto& [name, cell] : state.kernels.cells)
      if (auto found = scales.find(name); found != scales.end())
        cell.spread_scale = found->second;
  state.network = fit_network_model(cases_of(networks, held_out, scales, -1));
  return std::make_unique<FittedPredictor>(std::move(state));
}

std::unique_ptr<KernelPredictor> kernel_predictor_from_json(
    const JsonText& text, const std::string& pointer) {
  return std::make_unique<FittedPredictor>(predictor_from(text, pointer));
}

}  // namespace lathe::latency
