// S. Williams, A. Waterman, D. Patterson, "Roofline: an insightful visual
// performance model for multicore architectures", CACM 52(4), 2009: a kernel
// takes the longer of its arithmetic at the attainable peak and its traffic at
// the bandwidth. Here an overhead is added for each kernel.
#include "calibration/latency/roofline.h"

#include <algorithm>

#include "calibration/latency/device_profile.h"
#include "calibration/latency/kernel_source.h"
#include "calibration/latency/shape_hint.h"
#include "passes/base/error.h"
#include "passes/ir/shape_inference.h"

namespace lathe::latency {
namespace {

double efficiency(const KernelDescriptor& kernel) {
  const bool product = kernel.depth > 0;
  if (kernel.kind == "lstm" || kernel.kind == "gru" || kernel.kind == "rnn")
    return kKernelEfficiency.recurrent;
  if (kernel.group == 0 && !product) return kKernelEfficiency.elementwise;
  if (kernel.group > 1 && kernel.group == kernel.in_channels)
    return kKernelEfficiency.depthwise;
  return kernel.precision == Precision::kInt8 ? kKernelEfficiency.dense_int8
                                              : kKernelEfficiency.dense;
}

bool shapes_are_known(const ir::Graph& graph) {
  for (const auto& node : graph.nodes())
    for (const ir::Value* output : node->outputs())
      if (output && output->type.is_tensor() &&
          !output->type.has_static_shape())
        return false;
  return true;
}

class Roofline final : public LatencyModel {
 public:
  Roofline(const DeviceProfile& profile, int threads)
      : profile_(profile),
        traits_(make_traits(local_traits().version,
                            std::string(profile.architecture), profile.avx512)),
        threads_(std::max(1, threads)) {}

  GraphEstimate estimate(const ir::Model& model) const override {
    require_static_inputs(model);
    if (shapes_are_known(*model.graph)) return price(model);
    ir::Model inferred = ir::clone(model);
    ir::infer_shapes(inferred);
    return price(inferred);
  }
  LatencyEstimate kernel(const KernelDescriptor& kernel) const override {
    const double p50_us = latency_us(kernel);
    return {p50_us / kUncalibratedFactor, p50_us, p50_us * kUncalibratedFactor};
  }
  std::string device() const override { return std::string(profile_.name); }
  bool calibrated() const override { return false; }

 private:
  GraphEstimate price(const ir::Model& model) const {
    GraphEstimate result;
    double unseen_us = 0;
    for (const DescribedKernel& described : kernels_by_rules(model, traits_)) {
      KernelEstimate estimate;
      estimate.name = described.name;
      estimate.kind = described.descriptor.kind;
      estimate.nodes = described.nodes;
      estimate.descriptor = described.descriptor;
      estimate.latency = kernel(described.descriptor);
      estimate.seen = described.known;
      // The profile errs alike for all kernels, so nothing cancels out and the
      // ends of the intervals add up.
      result.latency.p5_us += estimate.latency.p5_us;
      result.latency.p50_us += estimate.latency.p50_us;
      result.latency.p95_us += estimate.latency.p95_us;
      if (!estimate.seen) unseen_us += estimate.latency.p50_us;
      result.kernels.push_back(std::move(estimate));
    }
    if (result.latency.p50_us > 0)
      result.unseen_share = unseen_us / result.latency.p50_us;
    return result;
  }

  double latency_us(const KernelDescriptor& kernel) const {
    const double per_cycle = kernel.precision == Precision::kInt8
                                 ? profile_.int8_ops_per_cycle
                                 : profile_.fp32_flops_per_cycle;
    // GHz times operations a cycle, a thousandth: operations a microsecond.
    const double flops_per_us =
        profile_.ghz * 1e3 * per_cycle * efficiency(kernel) * threads_;
    const double bytes_per_us =
        profile_.bandwidth_gb_per_s * 1e3 *
        std::min<double>(threads_, profile_.bandwidth_threads);
    const double bytes = static_cast<double>(kernel.bytes_in) +
                         static_cast<double>(kernel.bytes_weights) +
                         static_cast<double>(kernel.bytes_out);
    return std::max(static_cast<double>(kernel.flops) / flops_per_us,
                    bytes / bytes_per_us) +
           profile_.overhead_us;
  }

  const DeviceProfile& profile_;
  RuntimeTraits traits_;
  int threads_;
};

}  // namespace

std::unique_ptr<LatencyModel> make_roofline(const std::string& device,
                                            int threads) {
  return std::make_unique<Roofline>(find_device_profile(device), threads);
}

}  // namespace lathe::latency
