#include "calibration/latency/estimator/features.h"

#include <algorithm>
#include <cmath>
#include <numeric>

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

float flag(bool on) { return on ? 1.0f : 0.0f; }

// The share of data that no longer waits in a cache of about `limit` bytes.
double evicted(double distance, double limit) {
  return distance * distance / (distance * distance + limit * limit);
}

constexpr double kNearCache = 1 << 20;
// Reuse distances at which data come from a core's own cache, and from the
// shared one, about half of the time.
constexpr double kNearLimit = 2 << 20, kFarLimit = 12 << 20;
// Scales, pads and axes: read with the instructions, not from memory.
constexpr double kSmallConstants = 96;

// Rows, planes or runs this many bytes apart share a cache's sets.
constexpr int64_t kPage = 4096;

// log2 of the largest power of two, up to a page, that the distance between
// channels is a multiple of.
float alignment(int64_t height, int64_t width, int64_t bytes) {
  const int64_t plane = height * width * bytes;
  return plane > 0 ? log2of(std::gcd(plane, kPage)) : 0.0f;
}

// Steps of its loops that start anew.
double runs_of(const KernelDescriptor& k) {
  if (k.matrices > 1) return static_cast<double>(k.matrices);
  if (k.group > 1 && k.layout != Layout::kBlocked)
    return static_cast<double>(k.group * std::max<int64_t>(k.batch, 1));
  return k.run > 0
             ? static_cast<double>(k.elements) / static_cast<double>(k.run)
             : 0;
}

}  // namespace

struct KernelView {
  KernelView(const KernelDescriptor& kernel, int vector_lanes)
      : k(kernel),
        lanes(vector_lanes),
        family(family_of(kernel.kind)),
        work(work_of(kernel, family, vector_lanes)),
        traffic(traffic_of(kernel, vector_lanes)),
        elements(static_cast<double>(kernel.elements) *
                 whole_blocks(kernel, vector_lanes)),
        weights(static_cast<double>(kernel.bytes_weights)),
        bytes(traffic.in + traffic.out + weights),
        weights_distance(static_cast<double>(
            kernel.traffic > 0 ? kernel.traffic : kernel.working_set)),
        reuse_distance(static_cast<double>(kernel.reuse_distance)),
        runs(runs_of(kernel)),
        group(std::max<int64_t>(kernel.group, 1)),
        in(family == Family::kDepthwise ? kernel.out_channels
                                        : kernel.in_channels / group),
        out(family == Family::kDepthwise ? kernel.out_channels
                                         : kernel.out_channels / group) {
    if (k.kernel_height > 0)
      width = slide(k.in_width, k.out_width, k.kernel_width, k.stride_width,
                    k.dilation_width);
  }

  const KernelDescriptor& k;
  int lanes;
  Family family;
  Work work;
  Traffic traffic;
  double elements, weights, bytes, weights_distance, reuse_distance, runs;
  int64_t group, in, out;  // channels of a group
  Side width;
};

const std::array<TermRow, kTerms> kTermRows = {{
    {"node", 1, 1000, [](const KernelView&) -> double { return 1; }},
    {"padded_flops", 3e-5, 0.01,
     [](const KernelView& v) -> double { return v.work.flops_padded; }},
    {"tiled_flops", 3e-5, 0.01,
     [](const KernelView& v) -> double { return v.work.flops_tiled; }},
    {"bytes_in", 2e-4, 0.01,
     [](const KernelView& v) -> double { return v.traffic.in; }},
    {"bytes_out", 2e-4, 0.01,
     [](const KernelView& v) -> double { return v.traffic.out; }},
    {"bytes_weights", 2e-4, 0.02,
     [](const KernelView& v) -> double {
       return std::max(0.0, v.weights - kSmallConstants);
     }},
    {"patch_bytes", 2e-4, 0.01,
     [](const KernelView& v) -> double { return v.work.patch_bytes; }},
    {"runs", 2e-2, 0.2, [](const KernelView& v) -> double { return v.runs; }},
    {"elements", 5e-4, 0.1,
     [](const KernelView& v) -> double { return v.elements; }},
    {"activated", 1e-3, 0.1,
     [](const KernelView& v) -> double {
       return activation_passes(v.k) * v.traffic.out / 4;
     }},
    {"taps", 1e-3, 0.1,
     [](const KernelView& v) -> double { return v.work.taps; }},
    {"cold_bytes", 1e-4, 0.01,
     [](const KernelView& v) -> double {
       return std::max(0.0, v.bytes - kNearCache);
     }},
    {"rows", 2e-2, 10,
     [](const KernelView& v) -> double { return v.work.passes; }},
    {"row_tails", 1e-3, 0.2,
     [](const KernelView& v) -> double {
       return v.work.passes * static_cast<double>(v.work.columns % v.lanes);
     }},
    {"copies", 5e-3, 1,
     [](const KernelView& v) -> double { return v.work.copies; }},
    {"depth_tails", 1e-3, 0.2,
     [](const KernelView& v) -> double {
       return v.work.passes * static_cast<double>(v.work.depth % 4);
     }},
    {"column_tails", 1e-4, 0.01,
     [](const KernelView& v) -> double {
       return v.work.columns % v.lanes == 0
                  ? 0
                  : v.work.passes * static_cast<double>(v.work.depth);
     }},
    {"waiting_weights", 1e-4, 0.02,
     [](const KernelView& v) -> double {
       return v.weights * evicted(v.weights_distance, kNearLimit);
     }},
    {"far_weights", 1e-4, 0.02,
     [](const KernelView& v) -> double {
       return v.weights * evicted(v.weights_distance, kFarLimit);
     }},
    {"waiting_inputs", 1e-4, 0.02,
     [](const KernelView& v) -> double {
       return v.traffic.in *
              evicted(v.reuse_distance + v.traffic.in, kNearLimit);
     }},
}};

const std::array<FeatureRow, kFeatures> kFeatureRows = {{
    {"flops",
     [](const KernelView& v) -> float { return log1(v.work.flops_tiled); }},
    {"bytes_in",
     [](const KernelView& v) -> float { return log1(v.traffic.in / 64); }},
    {"bytes_out",
     [](const KernelView& v) -> float { return log1(v.traffic.out / 64); }},
    {"bytes_weights",
     [](const KernelView& v) -> float {
       return log1(static_cast<double>(v.k.bytes_weights) / 64);
     }},
    {"working_set",
     [](const KernelView& v) -> float {
       return log1(static_cast<double>(v.k.working_set) / 4096);
     }},
    {"elements", [](const KernelView& v) -> float { return log1(v.elements); }},
    {"run",
     [](const KernelView& v) -> float {
       return log1(static_cast<double>(v.k.run));
     }},
    {"inputs",
     [](const KernelView& v) -> float {
       return static_cast<float>(std::min<int64_t>(v.k.inputs, 8));
     }},
    {"intensity",
     [](const KernelView& v) -> float {
       return log1(v.work.flops_tiled / (v.bytes + 64));
     }},
    {"in_channels",
     [](const KernelView& v) -> float { return log2of(v.k.in_channels); }},
    {"out_channels",
     [](const KernelView& v) -> float { return log2of(v.k.out_channels); }},
    {"group_width",
     [](const KernelView& v) -> float {
       return log2of(v.k.in_channels / v.group);
     }},
    {"group", [](const KernelView& v) -> float { return log2of(v.group); }},
    {"out_height",
     [](const KernelView& v) -> float { return log2of(v.k.out_height); }},
    {"out_width",
     [](const KernelView& v) -> float { return log2of(v.k.out_width); }},
    {"window",
     [](const KernelView& v) -> float {
       return log2of(v.k.kernel_height * v.k.kernel_width);
     }},
    {"kernel_width",
     [](const KernelView& v) -> float {
       return static_cast<float>(std::min<int64_t>(v.k.kernel_width, 32));
     }},
    {"stride",
     [](const KernelView& v) -> float {
       return log2of(std::max<int64_t>(v.k.stride_height, 1) *
                     std::max<int64_t>(v.k.stride_width, 1));
     }},
    {"dilation",
     [](const KernelView& v) -> float {
       return log2of(std::max(v.k.dilation_height, v.k.dilation_width));
     }},
    {"in_use",
     [](const KernelView& v) -> float { return utilisation(v.in, v.lanes); }},
    {"out_use",
     [](const KernelView& v) -> float { return utilisation(v.out, v.lanes); }},
    {"out_block_use",
     [](const KernelView& v) -> float {
       return utilisation((v.out + v.lanes - 1) / v.lanes, 4);
     }},
    {"width_use",
     [](const KernelView& v) -> float {
       return static_cast<float>(v.work.width_use);
     }},
    {"fused_add",
     [](const KernelView& v) -> float { return flag(v.k.fused_add); }},
    {"activation",
     [](const KernelView& v) -> float {
       return flag(!v.k.activation.empty());
     }},
    {"costly",
     [](const KernelView& v) -> float {
       return flag(is_costly(v.k.activation));
     }},
    {"rows", [](const KernelView& v) -> float { return log2of(v.work.rows); }},
    {"depth",
     [](const KernelView& v) -> float { return log2of(v.work.depth); }},
    {"columns",
     [](const KernelView& v) -> float { return log2of(v.work.columns); }},
    {"row_use",
     [](const KernelView& v) -> float {
       return utilisation(v.work.rows, v.lanes);
     }},
    {"column_use",
     [](const KernelView& v) -> float {
       return utilisation(v.work.columns, v.lanes);
     }},
    {"column_block_use",
     [](const KernelView& v) -> float {
       return utilisation(v.work.columns, 3 * int64_t{v.lanes});
     }},
    {"matrices",
     [](const KernelView& v) -> float { return log2of(v.k.matrices); }},
    {"constant_b",
     [](const KernelView& v) -> float { return flag(v.k.constant_b); }},
    {"transposed_a",
     [](const KernelView& v) -> float { return flag(v.k.transposed_a); }},
    {"transposed_b",
     [](const KernelView& v) -> float { return flag(v.k.transposed_b); }},
    {"blocked",
     [](const KernelView& v) -> float {
       return flag(v.k.layout == Layout::kBlocked);
     }},
    {"interleaved",
     [](const KernelView& v) -> float {
       return flag(v.k.layout == Layout::kInterleaved);
     }},
    {"int8",
     [](const KernelView& v) -> float {
       return flag(v.k.precision == Precision::kInt8);
     }},
    {"other_type",
     [](const KernelView& v) -> float {
       return flag(v.k.precision == Precision::kOther ||
                   v.k.precision == Precision::kFp16);
     }},
    {"batch", [](const KernelView& v) -> float { return log2of(v.k.batch); }},
    {"working_ratio",
     [](const KernelView& v) -> float {
       return log1(static_cast<double>(v.k.working_set) / (v.bytes + 64));
     }},
    {"out_per_group",
     [](const KernelView& v) -> float {
       return log2of(v.k.out_channels / v.group);
     }},
    {"in_block_use",
     [](const KernelView& v) -> float {
       return utilisation((v.in + v.lanes - 1) / v.lanes, 8);
     }},
    {"border",
     [](const KernelView& v) -> float {
       return v.k.out_width > 0
                  ? static_cast<float>(static_cast<double>(v.width.border) /
                                       static_cast<double>(v.k.out_width))
                  : 0.0f;
     }},
    {"in_quad_use",
     [](const KernelView& v) -> float { return utilisation(v.in, 4); }},
    {"out_half_use",
     [](const KernelView& v) -> float {
       return utilisation(v.work.columns, std::max(v.lanes / 2, 1));
     }},
    {"out_quad_use",
     [](const KernelView& v) -> float {
       return utilisation(v.work.columns, std::max(v.lanes / 4, 1));
     }},
    {"row_six_use",
     [](const KernelView& v) -> float { return utilisation(v.work.rows, 6); }},
    {"run_use",
     [](const KernelView& v) -> float {
       return utilisation(v.k.run, v.lanes);
     }},
    {"steps",
     [](const KernelView& v) -> float {
       return v.family == Family::kRecurrent ? log2of(v.k.in_height) : 0.0f;
     }},
    {"relu",
     [](const KernelView& v) -> float {
       return flag(v.k.activation == "relu");
     }},
    {"clip",
     [](const KernelView& v) -> float {
       return flag(v.k.activation == "clip");
     }},
    {"reuse_distance",
     [](const KernelView& v) -> float {
       return log1(static_cast<double>(v.k.reuse_distance) / 4096);
     }},
    {"traffic",
     [](const KernelView& v) -> float {
       return log1(static_cast<double>(v.k.traffic) / 4096);
     }},
    {"in_alignment",
     [](const KernelView& v) -> float {
       return alignment(v.k.in_height, v.k.in_width, 4);
     }},
    {"out_alignment",
     [](const KernelView& v) -> float {
       return alignment(v.k.out_height, v.k.out_width, 4);
     }},
}};

Terms physical_terms(const KernelDescriptor& kernel, int lanes) {
  const KernelView view(kernel, lanes);
  Terms terms;
  for (size_t i = 0; i < kTerms; ++i) terms[i] = kTermRows[i].value(view);
  return terms;
}

Features kernel_features(const KernelDescriptor& kernel, int lanes) {
  const KernelView view(kernel, lanes);
  Features features;
  for (size_t i = 0; i < kFeatures; ++i)
    features[i] = kFeatureRows[i].value(view);
  return features;
}

}  // namespace lathe::latency
