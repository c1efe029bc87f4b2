// What a probe brings home from a device: times of kernels in the networks
// they ran in. Everything the predictors are fitted to; nothing in it is
// fitted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "passes/base/json.h"
#include "passes/kernel.h"

namespace lathe::latency {

struct DeviceDescription {
  std::string name;          // of the profile: "x86-64-avx512-vnni", …
  std::string architecture;  // "x86-64", "arm64"
  std::string cpu;           // model name as the system tells it
  std::vector<std::string> instruction_sets;  // "avx2", "avx512f", …; sorted
  int cores = 0;                              // that the process may use
  std::string os;
  std::string runtime;          // "onnxruntime"
  std::string runtime_version;  // "1.30.0"
};

// A kernel's time in one network. Microseconds a run, one entry for each round
// that was kept: the mean of the lowest third of its times in that round (the
// runtime's profiler counts whole microseconds, a mean does not), less what the
// profiler itself adds to each node (profiler_cost.h), so that a network's
// kernels add up to about its total.
struct KernelSample {
  KernelDescriptor kernel;
  std::vector<float> times_us;
};

struct NetworkSample {
  std::string name;  // of its family, with its seed: "residual-17-int8"
  uint64_t seed = 0;
  int threads = 1;
  std::vector<KernelSample> kernels;  // in order of execution
  // The whole network without the profiler, in each kept round.
  std::vector<float> totals_us;
  // The reference kernel within and after each kept round, their mean: says how
  // quiet the machine was. Empty: not known.
  std::vector<float> reference_us;
};

// How far the measurements can be trusted.
struct NoiseCertificate {
  int threads = 1;
  int64_t rounds = 0, dropped_rounds = 0;
  double reference_us = 0;  // median time of the reference kernel
  double drift = 0;         // its p90 over p10, minus 1, in all rounds
  double repeatability =
      0;  // median relative spread (max/min - 1) of totals_us
};

struct Measurements {
  DeviceDescription device;
  uint64_t seed = 0;
  double seconds = 0;  // spent measuring
  std::vector<NetworkSample> networks;
  std::vector<NoiseCertificate> noise;  // one for each thread count
};

Json to_json(const Measurements& measurements);
// The file of `lathe-probe`. Errors kInput with file:line:column and pointer,
// also for another "schema_version" and for truncated files.
Measurements measurements_from_json(const JsonText& text);

}  // namespace lathe::latency
