#include <algorithm>
#include <cmath>

#include "passes/kernel.h"

namespace lathe {
namespace {

bool is_convolution(const KernelDescriptor& k) {
  return k.kernel_width > 0 && k.group > 0 &&
         k.kind.find("conv") != k.kind.npos;
}

bool is_depthwise(const KernelDescriptor& k) {
  return k.group > 1 && k.group == k.in_channels;
}

// value * part / whole, rounded to nearest; whole 0 leaves the value.
int64_t scaled(int64_t value, int64_t part, int64_t whole) {
  if (whole <= 0) return value;
  return std::llround(static_cast<double>(value) * static_cast<double>(part) /
                      static_cast<double>(whole));
}

void scale_convolution(KernelDescriptor& k, int64_t in, int64_t out) {
  const int64_t group_before = std::max<int64_t>(1, k.group);
  int64_t group = group_before;
  if (is_depthwise(k)) {
    group = in = out;
  } else if (in % group_before != 0 || out % group_before != 0) {
    // Groups keep their width: a grouped convolution loses whole groups.
    const int64_t width = std::max<int64_t>(1, k.in_channels / group_before);
    group = std::max<int64_t>(1, in / width);
  }
  const int64_t weights_before = k.in_channels / group_before * k.out_channels;
  const int64_t weights = std::max<int64_t>(1, in / group) * out;
  k.flops = scaled(k.flops, weights, weights_before);
  k.bytes_weights = scaled(k.bytes_weights, weights, weights_before);
  // A fused addend is as large as the result.
  const int64_t addend = k.fused_add ? k.bytes_out : 0;
  k.bytes_in = scaled(k.bytes_in - addend, in, k.in_channels) +
               scaled(addend, out, k.out_channels);
  k.bytes_out = scaled(k.bytes_out, out, k.out_channels);
  k.elements = scaled(k.elements, out, k.out_channels);
  k.in_channels = in;
  k.out_channels = out;
  k.group = group;
}

void scale_product(KernelDescriptor& k, int64_t depth, int64_t columns) {
  const int64_t before = k.depth * k.columns, after = depth * columns;
  k.flops = scaled(k.flops, after, before);
  if (k.constant_b) {
    k.bytes_weights = scaled(k.bytes_weights, after, before);
    k.bytes_in = scaled(k.bytes_in, depth, k.depth);
  } else {
    const int64_t a = k.rows * k.depth, b = before;
    k.bytes_in = scaled(k.bytes_in, k.rows * depth + after, a + b);
  }
  k.bytes_out = scaled(k.bytes_out, columns, k.columns);
  k.elements = scaled(k.elements, columns, k.columns);
  k.depth = depth;
  k.columns = columns;
}

void scale_rest(KernelDescriptor& k, int64_t channels) {
  const int64_t before = k.in_channels > 0 ? k.in_channels : k.out_channels;
  if (before <= 0) return;
  for (int64_t* size :
       {&k.flops, &k.bytes_in, &k.bytes_out, &k.bytes_weights, &k.elements})
    *size = scaled(*size, channels, before);
  if (k.in_channels > 0) k.in_channels = channels;
  if (k.out_channels > 0) k.out_channels = channels;
}

}  // namespace

KernelDescriptor with_widths(KernelDescriptor kernel, int64_t in_channels,
                             int64_t out_channels) {
  in_channels = std::max<int64_t>(1, in_channels);
  out_channels = std::max<int64_t>(1, out_channels);
  if (is_convolution(kernel))
    scale_convolution(kernel, in_channels, out_channels);
  else if (kernel.depth > 0 && kernel.columns > 0)
    scale_product(kernel, in_channels, out_channels);
  else
    scale_rest(kernel, out_channels);
  return kernel;
}

KernelDescriptor with_precision(KernelDescriptor kernel, Precision precision,
                                Layout fp32_layout) {
  const auto bytes = [](Precision p) {
    return p == Precision::kInt8 ? 1 : p == Precision::kFp16 ? 2 : 4;
  };
  const int64_t before = bytes(kernel.precision), after = bytes(precision);
  for (int64_t* size :
       {&kernel.bytes_in, &kernel.bytes_weights, &kernel.bytes_out})
    *size = scaled(*size, after, before);
  kernel.precision = precision;
  if (is_convolution(kernel))
    kernel.layout =
        precision == Precision::kInt8 ? Layout::kInterleaved : fp32_layout;
  return kernel;
}

}  // namespace lathe
