#include "passes/quantize/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/batch_source.h"

namespace lathe::quantize {
namespace {

constexpr uint64_t kMostBytes = uint64_t{256} << 20;
constexpr double kLeastNoise = 1e-20;

// Of one output of one sample.
struct Power {
  double signal = 0, noise = 0;
};

Power compare(const ir::Tensor& reference, const ir::Tensor& other) {
  if (!ir::is_floating(reference.type())) return {};
  if (other.dims() != reference.dims()) return {1, kLeastNoise};
  constexpr double kEndless = std::numeric_limits<double>::infinity();
  if (other.dims() != reference.dims()) return {1, kEndless};
  const std::vector<float> expected = reference.to_floats();
  const std::vector<float> found = other.to_floats();
  Power power;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!std::isfinite(expected[i])) continue;
    const double error = static_cast<double>(expected[i]) - found[i];
    power.signal += static_cast<double>(expected[i]) * expected[i];
    power.noise += std::isfinite(error) ? error * error : kEndless;
  }
  return power;
}

}  // namespace

double sqnr_db(double noise_over_signal) {
  return -10 * std::log10(std::max(noise_over_signal, kLeastNoise));
}

OutputNoise::OutputNoise(const ir::Model& reference, int64_t samples,
                         const PassContext& context)
    : context_(context) {
  if (!context.data || !context.executor)
    throw Error(ErrorKind::kUsage, "quantize_static",
                "needs calibration data to measure how sensitive layers are",
                "give data with --data");
  const auto executable = context.executor->prepare(reference);
  const auto reader = context.data->read({});
  uint64_t bytes = 0;
  while (this->samples() < samples && (inputs_.empty() || bytes < kMostBytes)) {
    std::optional<Batch> batch = reader->next();
    if (!batch) break;
    context.check_cancelled();
    inputs_.push_back(std::move(batch->inputs));
    outputs_.push_back(executable->run(inputs_.back()));
    for (const auto& [name, tensor] : inputs_.back())
      bytes += tensor.size_bytes();
    for (const ir::Tensor& tensor : outputs_.back())
      bytes += tensor.size_bytes();
  }
}

double OutputNoise::of(const ir::Model& model) const {
  const auto executable = context_.executor->prepare(model);
  const size_t outputs = outputs_.empty() ? 0 : outputs_[0].size();
  std::vector<std::vector<Power>> powers(inputs_.size());
  parallel_for(inputs_.size(), effective_jobs(context_.jobs), [&](size_t i) {
    context_.check_cancelled();
    const std::vector<ir::Tensor> found = executable->run(inputs_[i]);
    for (size_t k = 0; k < outputs; ++k)
      powers[i].push_back(compare(outputs_[i][k], found.at(k)));
  });
  double worst = 0;
  for (size_t k = 0; k < outputs; ++k) {
    Power total;
    for (const std::vector<Power>& sample : powers) {
      total.signal += sample[k].signal;
      total.noise += sample[k].noise;
    }
    if (total.signal > 0) worst = std::max(worst, total.noise / total.signal);
  }
  return worst;
}

}  // namespace lathe::quantize
