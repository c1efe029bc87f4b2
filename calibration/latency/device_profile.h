// What the roofline knows of a device. docs/latency.md derives the numbers.
#pragma once

#include <span>
#include <string_view>

namespace lathe::latency {

// Of one core, unless the name says otherwise.
struct DeviceProfile {
  std::string_view name;
  std::string_view architecture;  // with `avx512`: what fusions depend on
  bool avx512;
  bool vnni;                    // integer products without saturation
  double ghz;                   // sustained under vector load
  double fp32_flops_per_cycle;  // lanes * FMA ports * 2
  double int8_ops_per_cycle;    // multiplies and adds of 8-bit products
  double bandwidth_gb_per_s;    // from the last-level cache
  double bandwidth_threads;     // threads that saturate the whole chip's
  double overhead_us;           // a kernel's start
};

std::span<const DeviceProfile> device_profiles();
// Error kUsage with the nearest name.
const DeviceProfile& find_device_profile(std::string_view name);

// Shares of the peak that kernels of a kind reach.
struct KernelEfficiency {
  double dense = 0.6;        // convolutions and matrix products, fp32
  double dense_int8 = 0.5;   // the same in int8: requantization included
  double depthwise = 0.15;   // one multiply a loaded element
  double recurrent = 0.3;    // matrix times vector, step by step
  double elementwise = 0.1;  // no FMA pairs; divisions, exponentials
};
inline constexpr KernelEfficiency kKernelEfficiency;

// The interval of an estimate that no measurement stands behind: p50 divided
// and multiplied by this.
inline constexpr double kUncalibratedFactor = 2.5;

}  // namespace lathe::latency
