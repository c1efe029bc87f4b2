#include "passes/quantize/channel_factors.h"

#include <algorithm>
#include <cmath>

#include "passes/quantize/channel_weights.h"

namespace lathe::quantize {
namespace {

// Mean square of a channel's elements over the square of the largest.
constexpr double kMeanSquare = 1.0 / 50;
// Channels with less than this share of the largest count as if they had it:
// other data may bring more.
constexpr double kLeastShare = 1.0 / 1024;
constexpr double kActivationSteps = 255, kWeightSteps = 127;

class Group {
 public:
  Group(const ChannelGroup& group, const std::vector<TensorRanges>& tensors)
      : tensors_(tensors), magnitude_(group.channels, 0) {
    for (const TensorRanges& tensor : tensors)
      for (size_t i = 0; i < tensor.channels.size(); ++i) {
        double& most = magnitude_[tensor.first + i];
        most = std::max({most, -double{tensor.channels[i].min},
                         double{tensor.channels[i].max}});
      }
    weight_.assign(magnitude_.size(), 0);
    energy_.assign(magnitude_.size(), 0);
    for (const ScaleSite& site : group.products) add_product(site);
    for (double& square : weight_) square = std::sqrt(square);
  }

  std::vector<double> factors(double alpha) const {
    const double most = largest(magnitude_), most_weight = largest(weight_);
    std::vector<double> made(magnitude_.size(), 1);
    if (most == 0 || most_weight == 0) return made;
    double kept = 0;  // the largest range after
    for (size_t c = 0; c < made.size(); ++c) {
      if (magnitude_[c] == 0) continue;
      const double r = std::max(magnitude_[c], most * kLeastShare);
      const double w = std::max(weight_[c], most_weight * kLeastShare);
      made[c] = std::pow(r, alpha) / std::pow(w, 1 - alpha);
      kept = std::max(kept, magnitude_[c] / made[c]);
    }
    for (size_t c = 0; c < made.size(); ++c)
      if (magnitude_[c] != 0) made[c] *= kept / most;
    return made;
  }

  double predicted_error(const std::vector<double>& factors) const {
    double error = 0;
    for (const TensorRanges& tensor : tensors_) {
      double low = 0, high = 0, energy = 0;
      for (size_t i = 0; i < tensor.channels.size(); ++i) {
        const double s = factors[tensor.first + i];
        low = std::min(low, tensor.channels[i].min / s);
        high = std::max(high, tensor.channels[i].max / s);
        energy += energy_[tensor.first + i] * s * s;
      }
      const double step = (high - low) / kActivationSteps;
      error += step * step * energy;
    }
    std::vector<double> powers(factors.size());
    for (size_t c = 0; c < powers.size(); ++c)
      powers[c] = power_of(static_cast<int64_t>(c)) / (factors[c] * factors[c]);
    for (const Product& product : products_) {
      std::vector<double> most(product.rows.size(), 0), power(most);
      product.weights.for_each([&](int64_t row, int64_t c, double w) {
        most[row] = std::max(most[row], std::abs(w) * factors[c]);
        power[row] += powers[c];
      });
      for (size_t row = 0; row < most.size(); ++row) {
        if (product.rows[row] == 0) continue;
        const double step = most[row] / kWeightSteps;
        error += step * step * power[row] / product.rows[row] /
                 static_cast<double>(most.size());
      }
    }
    return error;
  }

 private:
  struct Product {
    ProductWeights weights;
    std::vector<double> rows;  // mean squares of the outputs
  };

  static double largest(const std::vector<double>& values) {
    return *std::ranges::max_element(values);
  }

  double power_of(int64_t c) const {
    return magnitude_[c] * magnitude_[c] * kMeanSquare;
  }

  void add_product(const ScaleSite& site) {
    Product product{ProductWeights(site), {}};
    product.rows.assign(static_cast<size_t>(product.weights.rows()), 0);
    product.weights.for_each([&](int64_t row, int64_t c, double w) {
      product.rows[row] += w * w * power_of(c);
    });
    const auto count = static_cast<double>(product.rows.size());
    product.weights.for_each([&](int64_t row, int64_t c, double w) {
      if (product.rows[row] == 0) return;
      const double square = w * w / product.rows[row];
      weight_[c] = std::max(weight_[c], square);
      energy_[c] += square / count;
    });
    products_.push_back(std::move(product));
  }

  const std::vector<TensorRanges>& tensors_;
  std::vector<double> magnitude_;
  std::vector<double> weight_;
  std::vector<double> energy_;  // of a channel's weights, rows averaged
  std::vector<Product> products_;
};

}  // namespace

ChosenFactors choose_factors(const ChannelGroup& channel_group,
                             const std::vector<TensorRanges>& tensors,
                             const FactorOptions& options) {
  const Group group(channel_group, tensors);
  ChosenFactors chosen{group.factors(options.alpha), 0};
  if (options.power_of_two)
    for (double& factor : chosen.factors)
      factor = std::exp2(std::round(std::log2(factor)));
  const double before =
      group.predicted_error(std::vector<double>(chosen.factors.size(), 1));
  const double after = group.predicted_error(chosen.factors);
  if (before > 0 && after > 0) chosen.gain_db = 10 * std::log10(before / after);
  return chosen;
}

}  // namespace lathe::quantize
