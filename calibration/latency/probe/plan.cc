#include <algorithm>

#include "calibration/latency/kernel_source.h"
#include "calibration/latency/probe/measure.h"
#include "passes/base/random.h"

namespace lathe::latency {
namespace {

// The operators of these hardly have integer kernels.
bool stays_in_float(std::string_view family) {
  return family == "elementwise" || family == "movement" ||
         family == "recurrent";
}

}  // namespace

std::vector<NetworkSpec> first_plan(size_t count, uint64_t seed,
                                    bool with_fp16) {
  std::vector<NetworkSpec> specs;
  std::span<const std::string_view> families = network_families();
  for (uint64_t cycle = 0; specs.size() < count; ++cycle)
    for (size_t i = 0; i < families.size() && specs.size() < count; ++i) {
      NetworkSpec spec;
      spec.family = families[i];
      spec.seed =
          derive_seed(seed, spec.family + std::to_string(cycle)) % 1'000'000;
      // Neighbours in the list differ, and so do cycles.
      uint64_t kind = (cycle + i) % (with_fp16 ? 3 : 2);
      if (kind == 1 && !stays_in_float(spec.family))
        spec.precision = Precision::kInt8;
      if (kind == 2) spec.precision = Precision::kFp16;
      specs.push_back(std::move(spec));
    }
  return specs;
}

bool runtime_has_fp16() {
  for (const KernelDescriptor& kernel :
       preview({"tiny", /*seed=*/0, Precision::kFp16}, /*threads=*/1))
    if (kernel.kind == "conv2d" || kernel.kind == "gemm")
      return kernel.precision == Precision::kFp16;
  return false;
}

std::vector<KernelDescriptor> preview(const NetworkSpec& spec, int threads) {
  std::vector<KernelDescriptor> kernels;
  for (DescribedKernel& kernel :
       kernels_by_runtime(random_network(spec), threads))
    kernels.push_back(std::move(kernel.descriptor));
  return kernels;
}

}  // namespace lathe::latency
