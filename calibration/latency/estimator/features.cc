#include "calibration/latency/estimator/features.h"

#include <algorithm>
#include <cmath>

#include "calibration/latency/estimator/features_work.h"

namespace lathe::latency {
namespace {

// value / padded(value): the share of a tile that does useful work.
float utilisation(int64_t value, int64_t unit) {
  if (value <= 0) return 1;
  return static_cast<float>(static_cast<double>(value) / padded(value, unit));
}

float log1(double value) {
  return static_cast<float>(std::log1p(std::max(value, 0.0)));
}

float log2of(int64_t value) {
  return static_cast<float>(
      std::log2(static_cast<double>(std::max<int64_t>(value, 1))));
}

}  // namespace

Terms physical_terms(const KernelDescriptor& k, int lanes) {
  Family family = family_of(k.kind);
  Work work = work_of(k, family, lanes);
  double elements = static_cast<double>(k.elements);
  double runs = 0;
  if (k.run > 0) runs = elements / static_cast<double>(k.run);
  if (k.group > 1 && k.layout != Layout::kBlocked)
    runs = static_cast<double>(k.group * std::max<int64_t>(k.batch, 1));
  if (k.matrices > 1) runs = static_cast<double>(k.matrices);
  const Traffic traffic = traffic_of(k, lanes);
  double bytes =
      traffic.in + traffic.out + static_cast<double>(k.bytes_weights);
  constexpr double kNearCache = 1 << 20;
  constexpr double kFarCache = 8 << 20;
  const double working_set = static_cast<double>(k.working_set);
  // Scales, pads and axes: read with the instructions, not from memory.
  constexpr double kSmallConstants = 96;
  return {1,
          work.flops_padded,
          work.flops_tiled,
          traffic.in,
          traffic.out,
          std::max(0.0, static_cast<double>(k.bytes_weights) - kSmallConstants),
          work.patch_bytes,
          runs,
          elements,
          activation_passes(k) * traffic.out / 4,
          work.taps,
          std::max(0.0, bytes - kNearCache),
          work.passes,
          work.passes * static_cast<double>(work.columns % lanes),
          work.copies,
          work.passes * static_cast<double>(work.depth % 4),
          work.columns % lanes == 0
              ? 0
              : work.passes * static_cast<double>(work.depth),
          static_cast<double>(k.bytes_weights) * working_set /
              (working_set + kFarCache)};
}

const std::array<const char*, kFeatures> kFeatureNames = {
    "flops",        "bytes_in",      "bytes_out",     "bytes_weights",
    "working_set",  "elements",      "run",           "inputs",
    "intensity",    "in_channels",   "out_channels",  "group_width",
    "group",        "out_height",    "out_width",     "window",
    "kernel_width", "stride",        "dilation",      "in_use",
    "out_use",      "out_block_use", "width_use",     "fused_add",
    "activation",   "costly",        "rows",          "depth",
    "columns",      "row_use",       "column_use",    "column_block_use",
    "matrices",     "constant_b",    "transposed_a",  "transposed_b",
    "blocked",      "interleaved",   "int8",          "other_type",
    "batch",        "working_ratio", "out_per_group", "in_block_use",
    "border",       "in_quad_use",   "out_half_use",  "out_quad_use",
    "row_six_use",  "run_use",       "steps",         "relu",
    "clip"};

Features kernel_features(const KernelDescriptor& k, int lanes) {
  Family family = family_of(k.kind);
  Work work = work_of(k, family, lanes);
  int64_t group = std::max<int64_t>(k.group, 1);
  const Traffic traffic = traffic_of(k, lanes);
  double bytes =
      traffic.in + traffic.out + static_cast<double>(k.bytes_weights);
  auto flag = [](bool on) { return on ? 1.0f : 0.0f; };
  Side width;
  if (k.kernel_height > 0)
    width = slide(k.in_width, k.out_width, k.kernel_width, k.stride_width,
                  k.dilation_width);
  int64_t in = k.in_channels / group, out = k.out_channels / group;
  if (family == Family::kDepthwise) in = out = k.out_channels;
  return {
      log1(work.flops_tiled),
      log1(traffic.in / 64),
      log1(traffic.out / 64),
      log1(static_cast<double>(k.bytes_weights) / 64),
      log1(static_cast<double>(k.working_set) / 4096),
      log1(static_cast<double>(k.elements)),
      log1(static_cast<double>(k.run)),
      static_cast<float>(std::min<int64_t>(k.inputs, 8)),
      log1(work.flops_tiled / (bytes + 64)),
      log2of(k.in_channels),
      log2of(k.out_channels),
      log2of(k.in_channels / group),
      log2of(group),
      log2of(k.out_height),
      log2of(k.out_width),
      log2of(k.kernel_height * k.kernel_width),
      static_cast<float>(std::min<int64_t>(k.kernel_width, 32)),
      log2of(std::max<int64_t>(k.stride_height, 1) *
             std::max<int64_t>(k.stride_width, 1)),
      log2of(std::max(k.dilation_height, k.dilation_width)),
      utilisation(in, lanes),
      utilisation(out, lanes),
      utilisation((out + lanes - 1) / lanes, 4),
      static_cast<float>(work.width_use),
      flag(k.fused_add),
      flag(!k.activation.empty()),
      flag(is_costly(k.activation)),
      log2of(work.rows),
      log2of(work.depth),
      log2of(work.columns),
      utilisation(work.rows, lanes),
      utilisation(work.columns, lanes),
      utilisation(work.columns, 3 * int64_t{lanes}),
      log2of(k.matrices),
      flag(k.constant_b),
      flag(k.transposed_a),
      flag(k.transposed_b),
      flag(k.layout == Layout::kBlocked),
      flag(k.layout == Layout::kInterleaved),
      flag(k.precision == Precision::kInt8),
      flag(k.precision == Precision::kOther || k.precision == Precision::kFp16),
      log2of(k.batch),
      log1(static_cast<double>(k.working_set) / (bytes + 64)),
      log2of(k.out_channels / group),
      utilisation((in + lanes - 1) / lanes, 8),
      k.out_width > 0 ? static_cast<float>(static_cast<double>(width.border) /
                                           static_cast<double>(k.out_width))
                      : 0.0f,
      utilisation(in, 4),
      utilisation(work.columns, std::max(lanes / 2, 1)),
      utilisation(work.columns, std::max(lanes / 4, 1)),
      utilisation(work.rows, 6),
      utilisation(k.run, lanes),
      family == Family::kRecurrent ? log2of(k.in_height) : 0.0f,
      flag(k.activation == "relu"),
      flag(k.activation == "clip"),
  };
}

}  // namespace lathe::latency
