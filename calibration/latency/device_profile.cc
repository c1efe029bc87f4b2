#include "calibration/latency/device_profile.h"

#include <string>
#include <vector>

#include "calibration/latency/roofline.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace {

constexpr DeviceProfile kProfiles[] = {
    // Two 512-bit ports; VPDPBUSD: 64 products an instruction.
    {.name = "x86-64-avx512-vnni",
     .architecture = "x86-64",
     .avx512 = true,
     .vnni = true,
     .ghz = 2.5,
     .fp32_flops_per_cycle = 16 * 2 * 2,
     .int8_ops_per_cycle = 64 * 2 * 2,
     .bandwidth_gb_per_s = 25,
     .bandwidth_threads = 8,
     .overhead_us = 2},
    // Two 256-bit ports; VPMADDUBSW and VPMADDWD: 32 products in two.
    {.name = "x86-64-avx2",
     .architecture = "x86-64",
     .avx512 = false,
     .vnni = false,
     .ghz = 3.0,
     .fp32_flops_per_cycle = 8 * 2 * 2,
     .int8_ops_per_cycle = 32 * 2 / 2 * 2,
     .bandwidth_gb_per_s = 25,
     .bandwidth_threads = 4,
     .overhead_us = 2},
    // Two 128-bit pipes; SDOT: 16 products an instruction.
    {.name = "arm64-neon-dotprod",
     .architecture = "arm64",
     .avx512 = false,
     .vnni = false,
     .ghz = 2.5,
     .fp32_flops_per_cycle = 4 * 2 * 2,
     .int8_ops_per_cycle = 16 * 2 * 2,
     .bandwidth_gb_per_s = 20,
     .bandwidth_threads = 8,
     .overhead_us = 2},
};

}  // namespace

std::span<const DeviceProfile> device_profiles() { return kProfiles; }

std::vector<std::string> embedded_devices() {
  std::vector<std::string> names;
  for (const DeviceProfile& profile : kProfiles)
    names.emplace_back(profile.name);
  return names;
}

const DeviceProfile& find_device_profile(std::string_view name) {
  for (const DeviceProfile& profile : kProfiles)
    if (profile.name == name) return profile;
  std::vector<std::string> names = embedded_devices();
  throw Error(ErrorKind::kUsage, "--device",
              "there is no device profile '" + std::string(name) + "'" +
                  did_you_mean(name, names),
              "the embedded ones are " + join(names, ", "));
}

}  // namespace lathe::latency
