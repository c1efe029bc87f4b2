#include "calibration/latency/estimator/kernel_predictor_model.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "calibration/latency/estimator/fit_baseline.h"

namespace lathe::latency {
namespace {

// An unseen kind may be off by this factor either way in two of three cases.
constexpr double kUnseenSpread = 0.7;
// One of another layout or precision than was measured.
constexpr double kRelativeSpread = 0.35;
constexpr double kLeastOfPrice = 0.1;
constexpr double kMostSpread = 2;
constexpr size_t kMostInputs = kFeatures + 3 + 64;

}  // namespace

double soft_log(double time_us) { return std::log(time_us + kShortUs); }

double soft_exp(double value) {
  return std::max(std::exp(value) - kShortUs, kLeastTime);
}

double short_time_noise(double expected_us) {
  double share = 10 / (std::max(expected_us, 0.0) + kShortUs);
  return 1 + share * share;
}

void Cell::describe(const KernelDescriptor& kernel, const Terms& terms,
                    const Features& all, const Terms& prices,
                    float* out) const {
  for (int feature : features) *out++ = all[static_cast<size_t>(feature)];
  double price = priced(prices, terms);
  double arithmetic = 0;
  for (size_t i : {size_t{1}, size_t{2}, size_t{10}})
    arithmetic += prices[i] * terms[i];
  *out++ = static_cast<float>(std::log(price));
  *out++ = static_cast<float>(arithmetic / price);
  *out++ = static_cast<float>(prices[5] * terms[5] / price);
  for (const std::string& kind : told_kinds) *out++ = kind == kernel.kind;
}

KernelPrediction Cell::predict(const KernelDescriptor& kernel,
                               int lanes) const {
  Terms terms = physical_terms(kernel, lanes);
  auto kind = kinds.find(kernel.kind);
  KernelPrediction prediction;
  prediction.seen = kind != kinds.end();
  const Terms& price_list = prediction.seen ? kind->second.prices : prices;
  const double price = priced(price_list, terms);
  prediction.mean_log_us = std::log(price);
  if (!prediction.seen) {
    prediction.sd_log = std::max(kUnseenSpread, spread);
    return prediction;
  }
  double variance = spread * spread;
  if (process) {
    std::array<float, kMostInputs> inputs;
    describe(kernel, terms, kernel_features(kernel, lanes), price_list,
             inputs.data());
    GaussianProcess::Prediction smooth = process->predict(inputs.data());
    double correction = smooth.mean;
    double noise = process->state().noise;
    variance = smooth.variance;
    if (trees) {
      double stepped = trees->predict(inputs.data());
      double apart = stepped - smooth.mean;
      correction += (1 - process_share) * apart;
      variance += 0.25 * apart * apart;
    }
    // Never so little that the price means nothing.
    prediction.mean_log_us = std::log(
        std::max(soft_exp(soft_log(price) + std::clamp(correction, -2.5, 2.5)),
                 kLeastOfPrice * price));
    variance += noise * noise * short_time_noise(price);
  }
  const double time = std::exp(prediction.mean_log_us);
  prediction.sd_log =
      std::min(std::sqrt(variance) * spread_scale * (time + kShortUs) / time,
               kMostSpread);
  return prediction;
}

KernelPrediction KernelModel::predict(const KernelDescriptor& kernel) const {
  const std::string name = cell_of(kernel);
  auto cell = cells.find(name);
  if (cell != cells.end()) return cell->second.predict(kernel, lanes);
  cell = cells.find(to_string(family_of(kernel.kind)));
  if (cell != cells.end() && cell->second.kinds.contains(kernel.kind))
    return cell->second.predict(kernel, lanes);
  // The kind was measured in another layout or precision only.
  const Cell* relative = nullptr;
  size_t most = 0;
  for (const auto& [other, candidate] : cells) {
    if (!candidate.kinds.contains(kernel.kind)) continue;
    auto differ =
        std::mismatch(name.begin(), name.end(), other.begin(), other.end());
    auto shared = static_cast<size_t>(differ.first - name.begin()) + 1;
    if (shared <= most) continue;
    most = shared;
    relative = &candidate;
  }
  if (!relative) relative = cell != cells.end() ? &cell->second : &fallback;
  KernelPrediction prediction = relative->predict(kernel, lanes);
  prediction.sd_log = std::max(prediction.sd_log, kRelativeSpread);
  return prediction;
}

}  // namespace lathe::latency
