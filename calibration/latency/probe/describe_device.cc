#include "calibration/latency/probe/describe_device.h"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "calibration/latency/probe/system_text.h"
#include "calibration/latency/session.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace {

constexpr uint64_t kMaxBytes = 16 << 20;

// What decides which kernels the runtime takes, of the many that a processor
// lists; the kernel's names for them.
constexpr std::string_view kX86Sets[] = {
    "sse4_1",   "sse4_2",   "avx",         "avx2",        "fma",
    "f16c",     "avx_vnni", "avx512f",     "avx512bw",    "avx512cd",
    "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16"};
constexpr std::string_view kArmSets[] = {"asimd", "asimddp", "asimdhp", "fphp",
                                         "i8mm",  "bf16",    "sve",     "sve2",
                                         "sme",   "svei8mm"};

std::string read_or_empty(const std::filesystem::path& path) {
  try {
    return read_file(path, kMaxBytes);
  } catch (const Error&) {
    return "";
  }
}

int usable_cores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::string architecture_of(const std::string& machine) {
  if (machine == "x86_64") return "x86-64";
  if (machine == "aarch64") return "arm64";
  return machine;
}

}  // namespace

// "key : value" lines; the first of each key, which is the first processor's.
std::map<std::string, std::string> cpuinfo_fields(const std::string& text) {
  std::map<std::string, std::string> fields;
  for (const std::string& line : split(text, '\n')) {
    size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    fields.try_emplace(std::string(trim(line.substr(0, colon))),
                       std::string(trim(line.substr(colon + 1))));
  }
  return fields;
}

std::vector<std::string> instruction_sets(const std::string& cpuinfo) {
  std::map<std::string, std::string> fields = cpuinfo_fields(cpuinfo);
  std::set<std::string> listed, known;
  for (const char* key : {"flags", "Features"})
    for (std::string& word : split(fields[key], ' ')) listed.insert(word);
  for (std::string_view set : kX86Sets)
    if (listed.contains(std::string(set))) known.emplace(set);
  for (std::string_view set : kArmSets)
    if (listed.contains(std::string(set))) known.emplace(set);
  return {known.begin(), known.end()};
}

std::string processor_name(const std::string& cpuinfo,
                           const std::string& model) {
  std::map<std::string, std::string> fields = cpuinfo_fields(cpuinfo);
  for (const char* key : {"model name", "Model", "Hardware", "Processor"})
    if (!fields[key].empty()) return fields[key];
  // Boards say it in the device tree, with a null byte at the end.
  std::string board(trim(model.substr(0, model.find('\0'))));
  if (!board.empty()) return board;
  if (!fields["CPU part"].empty())
    return "implementer " + fields["CPU implementer"] + " part " +
           fields["CPU part"];
  return "unknown";
}

std::string device_name(const std::string& architecture,
                        const std::vector<std::string>& sets) {
  auto has = [&](const char* set) {
    return std::find(sets.begin(), sets.end(), set) != sets.end();
  };
  if (architecture == "x86-64") {
    if (has("avx512f"))
      return has("avx512_vnni") ? "x86-64-avx512-vnni" : "x86-64-avx512";
    if (has("avx2"))
      return has("avx_vnni") ? "x86-64-avx2-vnni" : "x86-64-avx2";
    return "x86-64";
  }
  if (architecture == "arm64")
    return has("asimddp") ? "arm64-neon-dotprod" : "arm64-neon";
  return architecture;
}

std::string system_name(const std::string& os_release) {
  for (const std::string& line : split(os_release, '\n')) {
    std::string_view value = trim(line);
    constexpr std::string_view kKey = "PRETTY_NAME=";
    if (!value.starts_with(kKey)) continue;
    value.remove_prefix(kKey.size());
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front())
      value = value.substr(1, value.size() - 2);
    if (!value.empty()) return std::string(value);
  }
  return "";
}

DeviceDescription describe_device() {
  utsname system{};
  ::uname(&system);
  std::string cpuinfo = read_or_empty("/proc/cpuinfo");
  DeviceDescription device;
  device.architecture = architecture_of(system.machine);
  device.instruction_sets = instruction_sets(cpuinfo);
  device.name = device_name(device.architecture, device.instruction_sets);
  device.cpu =
      processor_name(cpuinfo, read_or_empty("/proc/device-tree/model"));
  device.cores = usable_cores();
  std::string name = system_name(read_or_empty("/etc/os-release"));
  device.os = (name.empty() ? "" : name + ", ") + std::string(system.sysname) +
              " " + system.release;
  device.runtime = "onnxruntime";
  device.runtime_version = runtime_version();
  return device;
}

}  // namespace lathe::latency
