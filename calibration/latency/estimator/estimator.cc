#include "calibration/latency/estimator/estimator.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "calibration/latency/probe/describe_device.h"
#include "calibration/latency/shape_hint.h"
#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

// The 95% quantile of the standard normal distribution.
constexpr double kZ95 = 1.6448536269514722;

LatencyEstimate to_estimate(const KernelPrediction& prediction) {
  const double width = kZ95 * prediction.sd_log;
  return {std::exp(prediction.mean_log_us - width),
          std::exp(prediction.mean_log_us),
          std::exp(prediction.mean_log_us + width)};
}

struct Hash {
  size_t operator()(const KernelDescriptor& kernel) const {
    return hash_value(kernel);
  }
};

}  // namespace

// A table in parts, each under its own lock, so that threads seldom meet.
class Estimator::Memo {
 public:
  template <class F>
  KernelPrediction find_or(const KernelDescriptor& kernel, F&& predict) {
    Part& part = parts_[hash_value(kernel) % kParts];
    {
      std::shared_lock lock(part.mutex);
      auto found = part.table.find(kernel);
      if (found != part.table.end()) return found->second;
    }
    const KernelPrediction prediction = predict(kernel);
    std::unique_lock lock(part.mutex);
    // A solver's queries repeat; what exceeds this are ever new ones.
    if (part.table.size() >= kMost) part.table.clear();
    part.table.emplace(kernel, prediction);
    return prediction;
  }

 private:
  static constexpr size_t kParts = 16, kMost = 1 << 16;
  struct Part {
    std::shared_mutex mutex;
    std::unordered_map<KernelDescriptor, KernelPrediction, Hash> table;
  };
  std::array<Part, kParts> parts_;
};

Estimator::Estimator(std::shared_ptr<const DeviceFile> file, int threads)
    : file_(std::move(file)),
      column_(find_column(*file_, threads)),
      memo_(std::make_unique<Memo>()) {
  if (!column_) {
    std::vector<std::string> counts;
    for (const DeviceColumn& column : file_->columns)
      counts.push_back(std::to_string(column.threads));
    throw Error(ErrorKind::kUsage, "--threads",
                fmt::format("the device profile '{}' was not measured with {} "
                            "thread{}, only with {}",
                            file_->device.name, threads,
                            threads == 1 ? "" : "s", join(counts, ", ")),
                fmt::format("`lathe profile --threads {}` measures this "
                            "machine so",
                            threads));
  }
  const DeviceDescription here = describe_device();
  this_machine_ = here.name == file_->device.name &&
                  here.runtime_version == file_->device.runtime_version;
}

Estimator::~Estimator() = default;

std::string Estimator::device() const { return file_->device.name; }

KernelPrediction Estimator::predict(const KernelDescriptor& kernel) const {
  return memo_->find_or(kernel, [&](const KernelDescriptor& asked) {
    return column_->predictor->predict(asked);
  });
}

LatencyEstimate Estimator::kernel(const KernelDescriptor& kernel) const {
  return to_estimate(predict(kernel));
}

std::vector<DescribedKernel> Estimator::prepare(const ir::Model& model) const {
  require_static_inputs(model);
  ir::Model inferred = ir::clone(model);
  ir::infer_shapes(inferred);
  if (this_machine_) return kernels_by_runtime(inferred, column_->threads);
  return kernels_by_rules(inferred, file_->traits);
}

GraphEstimate Estimator::estimate(
    const std::vector<DescribedKernel>& kernels) const {
  GraphEstimate result;
  std::vector<KernelPrediction> predictions;
  std::map<std::string, int64_t> unseen;  // kind -> kernels
  double total_us = 0, unseen_us = 0;
  for (const DescribedKernel& kernel : kernels) {
    const KernelPrediction prediction = predict(kernel.descriptor);
    predictions.push_back(prediction);
    KernelEstimate estimate;
    estimate.name = kernel.name;
    estimate.kind = kernel.descriptor.kind;
    estimate.nodes = kernel.nodes;
    estimate.latency = to_estimate(prediction);
    estimate.seen = prediction.seen && kernel.known;
    estimate.descriptor = kernel.descriptor;
    total_us += estimate.latency.p50_us;
    if (!estimate.seen) {
      unseen_us += estimate.latency.p50_us;
      ++unseen[kernel.descriptor.kind];
    }
    result.kernels.push_back(std::move(estimate));
  }
  const NetworkPrediction whole = column_->predictor->network(predictions);
  result.latency = {whole.p5_us, whole.p50_us, whole.p95_us};
  if (total_us > 0) result.unseen_share = unseen_us / total_us;
  for (const auto& [kind, count] : unseen)
    result.warnings.push_back(fmt::format(
        "{} kernel{} of the kind '{}' {} not in the profile and priced by "
        "{} bytes and operations alone",
        count, count == 1 ? "" : "s", kind, count == 1 ? "is" : "are",
        count == 1 ? "its" : "their"));
  return result;
}

GraphEstimate Estimator::estimate(const ir::Model& model) const {
  return estimate(prepare(model));
}

GraphEstimate Estimator::estimate_outline(const ir::Model& model) const {
  require_static_inputs(model);
  return estimate(kernels_by_rules(model, file_->traits));
}

}  // namespace lathe::latency
