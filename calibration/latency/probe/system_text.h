// What the system's own texts say about the machine. Internal.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lathe::latency {

// Of /proc/cpuinfo, x86's and Arm's form: "flags" and "Features".
std::map<std::string, std::string> cpuinfo_fields(const std::string& text);
// Those that decide which kernels the runtime takes; sorted.
std::vector<std::string> instruction_sets(const std::string& cpuinfo);
// `model`: the device tree's, may be empty.
std::string processor_name(const std::string& cpuinfo,
                           const std::string& model);
// "x86-64-avx512-vnni", …: as describe_device().
std::string device_name(const std::string& architecture,
                        const std::vector<std::string>& sets);
// PRETTY_NAME of os-release; empty when it has none.
std::string system_name(const std::string& os_release);

}  // namespace lathe::latency
