#include "calibration/latency/estimator/features_work.h"

#include <algorithm>
#include <cmath>

namespace lathe::latency {
namespace {

Work convolution_work(const KernelDescriptor& k, Family family, int lanes) {
  Work work;
  int64_t group = std::max<int64_t>(k.group, 1);
  int64_t in = k.in_channels / group, out = k.out_channels / group;
  Side height = slide(k.in_height, k.out_height, k.kernel_height,
                      k.stride_height, k.dilation_height);
  Side width = slide(k.in_width, k.out_width, k.kernel_width, k.stride_width,
                     k.dilation_width);
  double window = static_cast<double>(k.kernel_height * k.kernel_width);
  double positions =
      static_cast<double>(std::max<int64_t>(k.batch, 1) * k.out_height) *
      static_cast<double>(k.out_width);
  bool pointwise = k.kernel_height == 1 && k.kernel_width == 1;
  bool flat = pointwise && k.stride_height <= 1 && k.stride_width <= 1;
  work.rows = k.out_height * k.out_width;
  work.depth = k.kernel_height * k.kernel_width * in;
  work.columns = family == Family::kDepthwise ? k.out_channels : out;
  double per_position, tiles;  // products a result position; positions paid for
  if (family == Family::kDepthwise) {
    int64_t channels = k.out_channels;
    per_position =
        window * (k.layout == Layout::kPlain ? static_cast<double>(channels)
                                             : padded(channels, lanes));
  } else if (k.precision == Precision::kInt8) {
    per_position =
        padded(work.depth, 4) * padded(out, lanes) * static_cast<double>(group);
  } else if (k.layout == Layout::kBlocked) {
    double depth = in < lanes && group == 1
                       ? static_cast<double>(in)
                       : padded(in, group == 1 ? lanes : 1);
    per_position =
        window * depth * padded(out, lanes) * static_cast<double>(group);
  } else {
    per_position = static_cast<double>(work.depth) * padded(out, 6) *
                   static_cast<double>(group);
  }
  if (k.layout == Layout::kBlocked) {
    if (flat) {
      tiles = padded(work.rows, 6);
    } else {
      tiles =
          static_cast<double>(k.out_height) *
          (padded(width.inner, 6) + 2.0 * static_cast<double>(width.border));
      per_position *= height.taps;
    }
  } else if (k.precision == Precision::kInt8) {
    tiles = padded(work.rows, 6);
  } else {
    tiles = padded(work.rows, lanes);
  }
  double batch = static_cast<double>(std::max<int64_t>(k.batch, 1));
  work.flops_padded = 2 * positions * per_position;
  work.flops_tiled = 2 * batch * tiles * per_position;
  work.width_use = tiles > 0 ? static_cast<double>(work.rows) / tiles : 1;
  work.passes =
      positions * static_cast<double>(family == Family::kDepthwise ? 1 : group);
  if (k.layout == Layout::kBlocked) {
    work.passes /= 6;
  } else if (!flat) {
    work.copies = positions * window * static_cast<double>(group);
    if (k.precision == Precision::kInt8 && family == Family::kDepthwise)
      work.copies = positions * window;
    work.patch_bytes = positions * static_cast<double>(work.depth * group) *
                       (k.precision == Precision::kInt8 ? 1 : 4);
  }
  work.taps = positions * window *
              static_cast<double>(std::max<int64_t>(k.out_channels, 1)) /
              static_cast<double>(lanes);
  return work;
}

Work product_work(const KernelDescriptor& k, int lanes) {
  Work work;
  work.rows = k.rows;
  work.depth = k.depth;
  work.columns = k.columns;
  bool integer = k.precision == Precision::kInt8;
  double matrices = static_cast<double>(std::max<int64_t>(k.matrices, 1));
  double depth = integer ? padded(k.depth, 4) : static_cast<double>(k.depth);
  double columns = padded(k.columns, lanes);
  work.flops_padded =
      2 * matrices * static_cast<double>(k.rows) * depth * columns;
  // A single row runs a kernel of its own, at the speed of memory.
  double rows = k.rows == 1 ? 1 : padded(k.rows, integer ? 6 : 12);
  work.flops_tiled = 2 * matrices * rows * depth * columns;
  work.width_use = rows > 0 ? static_cast<double>(k.rows) / rows : 1;
  work.passes = matrices * static_cast<double>(k.rows);
  if (!k.constant_b)
    work.patch_bytes =
        matrices * static_cast<double>(k.depth) * columns * (integer ? 1 : 4);
  return work;
}

// The weights are read again at each step.
Work recurrent_work(const KernelDescriptor& k, int lanes) {
  Work work;
  double steps = static_cast<double>(std::max<int64_t>(k.in_height, 1));
  double directions = static_cast<double>(std::max<int64_t>(k.matrices, 1));
  work.rows = k.rows;
  work.depth = k.depth;
  work.columns = k.columns;
  work.flops_padded = static_cast<double>(k.flops);
  work.flops_tiled = work.flops_padded * padded(k.columns, lanes) /
                     static_cast<double>(std::max<int64_t>(k.columns, 1));
  work.patch_bytes = steps * static_cast<double>(k.bytes_weights);
  work.copies = steps * directions;
  work.passes = steps * directions * static_cast<double>(k.rows);
  return work;
}

}  // namespace

Side slide(int64_t in, int64_t out, int64_t kernel, int64_t stride,
           int64_t dilation) {
  stride = std::max<int64_t>(stride, 1);
  int64_t reach =
      (std::max<int64_t>(kernel, 1) - 1) * std::max<int64_t>(dilation, 1);
  int64_t pads = std::max<int64_t>(0, (out - 1) * stride + reach + 1 - in);
  int64_t before = pads / 2, after = pads - before;
  auto over = [&](int64_t pad) { return (pad + stride - 1) / stride; };
  Side side;
  side.border = std::min(out, over(before) + over(after));
  side.inner = out - side.border;
  if (kernel > 1 && out > 0) {
    // Pads of p cut off p, p - stride, … positions of the reach.
    double step = static_cast<double>(reach) / static_cast<double>(kernel - 1);
    auto lost = [&](int64_t pad) {
      double sum = 0;
      for (int64_t i = 0; i < 64 && pad > 0; ++i, pad -= stride)
        sum += std::min(static_cast<double>(kernel - 1),
                        std::ceil(static_cast<double>(pad) / step));
      return sum;
    };
    double all = static_cast<double>(out) * static_cast<double>(kernel);
    side.taps = std::max(0.1, 1 - (lost(before) + lost(after)) / all);
  }
  return side;
}

Work work_of(const KernelDescriptor& k, Family family, int lanes) {
  if (family == Family::kRecurrent) return recurrent_work(k, lanes);
  if (k.depth > 0) return product_work(k, lanes);
  if (family == Family::kConvolution || family == Family::kDepthwise ||
      family == Family::kGrouped || family == Family::kTransposedConvolution)
    return convolution_work(k, family, lanes);
  Work work;
  const double whole = whole_blocks(k, lanes);
  work.flops_padded = work.flops_tiled = whole * static_cast<double>(k.flops);
  work.rows = k.rows;
  work.columns = k.columns;
  if (k.kernel_height > 0) {
    work.taps = whole * static_cast<double>(k.elements) *
                static_cast<double>(k.kernel_height * k.kernel_width);
    work.rows = k.out_height * k.out_width;
  }
  return work;
}

Traffic traffic_of(const KernelDescriptor& k, int lanes) {
  Traffic traffic{static_cast<double>(k.bytes_in),
                  static_cast<double>(k.bytes_out)};
  bool reads_blocks = k.layout == Layout::kBlocked, writes = reads_blocks;
  if (k.kind == "reorder_output") reads_blocks = true;
  if (k.kind == "reorder_input") writes = true;
  // A convolution with so few channels reads them as they are.
  if (k.in_channels > 0 && k.in_channels < lanes &&
      k.kind.find("conv") != std::string::npos && k.group <= 1)
    reads_blocks = false;
  if (reads_blocks && k.in_channels > 0)
    traffic.in *=
        padded(k.in_channels, lanes) / static_cast<double>(k.in_channels);
  if (writes && k.out_channels > 0)
    traffic.out *=
        padded(k.out_channels, lanes) / static_cast<double>(k.out_channels);
  return traffic;
}

double whole_blocks(const KernelDescriptor& k, int lanes) {
  if (k.layout != Layout::kBlocked || k.out_channels <= 0) return 1;
  return padded(k.out_channels, lanes) / static_cast<double>(k.out_channels);
}

bool is_costly(std::string_view activation) {
  return !activation.empty() && activation != "relu" && activation != "clip" &&
         activation != "leaky_relu" && activation != "hard_sigmoid" &&
         activation != "hard_swish";
}

double padded(int64_t value, int64_t unit) {
  return static_cast<double>((value + unit - 1) / unit * unit);
}

double activation_passes(const KernelDescriptor& k) {
  if (k.activation.empty()) return 0;
  if (k.activation == "relu" && k.layout == Layout::kBlocked) return 0;
  return is_costly(k.activation) ? 4 : 1;
}

}  // namespace lathe::latency
