#include "passes/latency_model.h"

#include <numeric>

namespace lathe {
namespace {

int64_t bytes_of(Precision precision) {
  switch (precision) {
    case Precision::kInt8:
      return 1;
    case Precision::kFp16:
      return 2;
    default:
      return 4;
  }
}

KernelDescriptor copying(const char* kind, const std::vector<int64_t>& nchw,
                         Precision from, Precision to) {
  KernelDescriptor kernel;
  kernel.kind = kind;
  kernel.elements = std::accumulate(nchw.begin(), nchw.end(), int64_t{1},
                                    std::multiplies<>());
  kernel.inputs = 1;
  kernel.bytes_in = kernel.elements * bytes_of(from);
  kernel.bytes_out = kernel.elements * bytes_of(to);
  return kernel;
}

}  // namespace

LatencyEstimate LatencyModel::border(const std::vector<int64_t>& nchw,
                                     ValueForm from, ValueForm to) const {
  LatencyEstimate total;
  const auto pay = [&](const KernelDescriptor& kernel) {
    const LatencyEstimate step = this->kernel(kernel);
    total.p5_us += step.p5_us;
    total.p50_us += step.p50_us;
    total.p95_us += step.p95_us;
  };
  const auto sized = [&](KernelDescriptor kernel) {
    if (nchw.size() == 4) {
      kernel.batch = nchw[0];
      kernel.in_channels = kernel.out_channels = nchw[1];
      kernel.in_height = kernel.out_height = nchw[2];
      kernel.in_width = kernel.out_width = nchw[3];
    }
    return kernel;
  };
  // A layout is left before the precision changes and entered after it.
  const auto relayout = [&](Layout layout, Precision precision, bool enter) {
    if (layout == Layout::kPlain) return;
    if (layout == Layout::kBlocked) {
      KernelDescriptor kernel =
          sized(copying(enter ? "reorder_input" : "reorder_output", nchw,
                        precision, precision));
      kernel.layout = Layout::kBlocked;
      pay(kernel);
      return;
    }
    KernelDescriptor kernel = copying("transpose", nchw, precision, precision);
    kernel.precision = precision;
    kernel.run = 1;  // channels change places with the rest
    pay(kernel);
  };
  if (from == to) return total;
  if (from.layout != to.layout)
    relayout(from.layout, from.precision, /*enter=*/false);
  if (from.precision != to.precision) {
    KernelDescriptor kernel =
        copying(to.precision == Precision::kInt8 ? "quantize_linear"
                                                 : "dequantize_linear",
                nchw, from.precision, to.precision);
    pay(kernel);
  }
  if (from.layout != to.layout)
    relayout(to.layout, to.precision, /*enter=*/true);
  return total;
}

}  // namespace lathe
