// A device with known times, for tests of what is fitted to measurements.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "calibration/latency/probe/measurements.h"
#include "passes/base/random.h"

namespace lathe::latency {

// Microseconds: arithmetic in blocks of 16 channels and 6 columns, a bandwidth
// that halves beyond a cache, weights slower in large models, a node's own
// cost; int8 three times as fast in dense kernels.
inline double made_up_time(const KernelDescriptor& k) {
  auto up = [](int64_t v, int64_t unit) {
    return static_cast<double>((v + unit - 1) / unit * unit);
  };
  double speed = k.precision == Precision::kInt8 ? 150e3 : 50e3;  // flops a us
  double time = 0.7;
  if (k.kind == "conv2d") {
    double taps = static_cast<double>(k.kernel_height * k.kernel_width);
    time += 2 * static_cast<double>(k.out_height) * up(k.out_width, 6) * taps *
            up(k.in_channels, 16) * up(k.out_channels, 16) / speed;
  } else if (k.kind == "depthwise_conv2d") {
    double taps = static_cast<double>(k.kernel_height * k.kernel_width);
    time += 2 * static_cast<double>(k.elements) * taps / 12e3;
  } else if (k.kind == "gemm") {
    time +=
        2 * static_cast<double>(k.rows * k.depth) * up(k.columns, 16) / speed;
  } else if (k.kind == "sigmoid") {
    time += static_cast<double>(k.elements) / 800;
  }
  double bytes = static_cast<double>(k.bytes_in + k.bytes_out);
  time += bytes / 20e3 + std::max(0.0, bytes - 1e6) / 20e3;
  time += static_cast<double>(k.bytes_weights) /
          (k.working_set > 4 << 20 ? 10e3 : 30e3);
  return time;
}

inline KernelDescriptor made_up_kernel(Random& random, const char* kind,
                                       Precision precision) {
  KernelDescriptor k;
  k.kind = kind;
  k.precision = precision;
  int64_t bytes = precision == Precision::kInt8 ? 1 : 4;
  auto pick = [&](std::initializer_list<int64_t> of) {
    return of.begin()[random.below(of.size())];
  };
  int64_t in = pick({3, 16, 24, 32, 40, 64, 96, 128, 192, 256});
  int64_t out = pick({16, 20, 32, 48, 63, 64, 100, 128, 256});
  int64_t size = pick({7, 14, 20, 28, 56});
  k.batch = 1;
  if (k.kind == "gemm") {
    k.matrices = 1;
    k.rows = pick({1, 16, 49, 196});
    k.depth = in * 4;
    k.columns = out * 4;
    k.constant_b = true;
    k.bytes_in = k.rows * k.depth * bytes;
    k.bytes_weights = k.depth * k.columns * bytes;
    k.elements = k.rows * k.columns;
    k.flops = 2 * k.rows * k.depth * k.columns;
  } else {
    bool dense = k.kind == "conv2d", depthwise = k.kind == "depthwise_conv2d";
    if (!dense) out = in;
    k.in_channels = in;
    k.out_channels = out;
    k.in_height = k.in_width = k.out_height = k.out_width = size;
    k.elements = out * size * size;
    k.bytes_in = in * size * size * bytes;
    k.flops = k.elements;
    if (dense || depthwise) {
      k.layout = precision == Precision::kInt8 ? Layout::kInterleaved
                                               : Layout::kBlocked;
      k.kernel_height = k.kernel_width = pick({1, 3, 3, 5});
      k.stride_height = k.stride_width = 1;
      k.dilation_height = k.dilation_width = 1;
      k.group = dense ? 1 : in;
      int64_t depth = k.kernel_height * k.kernel_width * (dense ? in : 1);
      k.flops = 2 * k.elements * depth;
      k.bytes_weights = depth * out * bytes;
    }
    if (k.kind == "add") {
      k.inputs = 2;
      k.bytes_in *= 2;
    }
  }
  k.bytes_out = k.elements * bytes;
  return k;
}

struct MadeUpOptions {
  int networks = 40;    // each in fp32 and int8
  double noise = 0.02;  // of a kernel's time
  uint64_t seed = 1;
};

// A network's total: its kernels less 0.2 us a node, plus 4 us.
inline double made_up_total(const std::vector<KernelDescriptor>& kernels) {
  double sum = 4;
  for (const KernelDescriptor& k : kernels) sum += made_up_time(k) - 0.2;
  return sum;
}

inline Measurements made_up_measurements(const MadeUpOptions& options = {}) {
  Measurements m;
  m.device = {"made-up", "x86-64", "made up",     {"avx2", "avx512f"},
              1,         "none",   "onnxruntime", "1.0"};
  m.seed = options.seed;
  m.seconds = 10;
  Random random(options.seed);
  for (int i = 0; i < options.networks; ++i) {
    uint64_t shape_seed = random.next();
    for (Precision precision : {Precision::kFp32, Precision::kInt8}) {
      Random shapes(shape_seed);
      NetworkSample network;
      network.seed = static_cast<uint64_t>(i);
      network.name = "made-" + std::to_string(i);
      if (precision == Precision::kInt8) network.name += "-int8";
      std::vector<KernelDescriptor> kernels;
      int64_t count = 6 + static_cast<int64_t>(shapes.below(20));
      for (int64_t k = 0; k < count; ++k) {
        constexpr const char* kKinds[] = {
            "conv2d", "conv2d", "gemm", "add", "sigmoid", "depthwise_conv2d"};
        kernels.push_back(
            made_up_kernel(shapes, kKinds[shapes.below(6)], precision));
      }
      int64_t weights = 0;
      for (const KernelDescriptor& k : kernels) weights += k.bytes_weights;
      for (KernelDescriptor& k : kernels) k.working_set = weights;
      for (const KernelDescriptor& k : kernels) {
        KernelSample sample{k, {}};
        for (int round = 0; round < 3; ++round)
          sample.times_us.push_back(static_cast<float>(
              made_up_time(k) * std::exp(options.noise * random.normal())));
        network.kernels.push_back(sample);
      }
      double total = made_up_total(kernels);
      for (int round = 0; round < 3; ++round)
        network.totals_us.push_back(static_cast<float>(
            total * std::exp(0.5 * options.noise * random.normal())));
      m.networks.push_back(std::move(network));
    }
  }
  return m;
}

}  // namespace lathe::latency
