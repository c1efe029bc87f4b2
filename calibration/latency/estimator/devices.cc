#include "calibration/latency/estimator/devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "calibration/latency/device_profile.h"
#include "calibration/latency/estimator/embedded.h"
#include "calibration/latency/estimator/estimator.h"
#include "calibration/latency/probe/describe_device.h"
#include "calibration/latency/roofline.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::latency {
namespace {

namespace fs = std::filesystem;
using SharedFile = std::shared_ptr<const DeviceFile>;

SharedFile open_embedded(const EmbeddedProfile& profile) {
  return std::make_shared<const DeviceFile>(device_file_from_text(
      std::string(profile.json),
      "the embedded profile " + std::string(profile.name)));
}

const EmbeddedProfile* find_embedded(const std::string& name) {
  for (const EmbeddedProfile& profile : embedded_profiles())
    if (profile.name == name) return &profile;
  return nullptr;
}

bool is_file_name(const std::string& device) {
  return device.find('/') != device.npos || device.ends_with(".json") ||
         fs::exists(device);
}

bool is_here(const DeviceDescription& device) {
  const DeviceDescription here = describe_device();
  return device.name == here.name && device.cpu == here.cpu &&
         device.runtime == here.runtime &&
         device.runtime_version == here.runtime_version;
}

OpenedDevice open_named(const std::string& device, int threads) {
  if (is_file_name(device)) {
    auto file = std::make_shared<const DeviceFile>(read_device_file(device));
    return {std::make_unique<Estimator>(file, threads), "the profile " + device,
            device, is_here(file->device), integer_traits(file->device)};
  }
  if (const EmbeddedProfile* profile = find_embedded(device)) {
    const SharedFile file = open_embedded(*profile);
    return {std::make_unique<Estimator>(file, threads),
            "the embedded profile",
            {},
            /*of_this_machine=*/false,
            integer_traits(file->device)};
  }
  const auto rows = device_rows();
  const bool analytic =
      std::any_of(rows.begin(), rows.end(),
                  [&](const DeviceRow& row) { return row.name == device; });
  if (analytic) {
    const DeviceProfile& profile = find_device_profile(device);
    const bool x86 = profile.architecture == "x86-64";
    return {make_roofline(device, threads),
            "the embedded profile",
            {},
            /*of_this_machine=*/false,
            DeviceTraits{device, x86, x86 && !profile.vnni}};
  }
  std::vector<std::string> names;
  for (const DeviceRow& row : rows) names.push_back(row.name);
  throw Error(ErrorKind::kUsage, "--device",
              "there is no device profile '" + device + "'" +
                  did_you_mean(device, names),
              "give a profile's file or one of the embedded ones: " +
                  join(names, ", "));
}

OpenedDevice open_default(int threads) {
  const fs::path stored = stored_device_file();
  std::error_code ignored;
  if (!stored.empty() && fs::exists(stored, ignored)) {
    auto file = std::make_shared<const DeviceFile>(read_device_file(stored));
    if (find_column(*file, threads))
      return {std::make_unique<Estimator>(file, threads),
              "the profile stored for this machine", stored};
  }
  for (const EmbeddedProfile& profile : embedded_profiles()) {
    SharedFile file = open_embedded(profile);
    if (find_column(*file, threads))
      return {std::make_unique<Estimator>(file, threads),
              "the embedded profile",
              {}};
    break;
  }
  return {make_roofline(std::string(device_profiles().front().name), threads),
          "the embedded profile",
          {}};
}

}  // namespace

std::vector<DeviceRow> device_rows() {
  std::vector<DeviceRow> rows;
  for (const EmbeddedProfile& profile : embedded_profiles()) {
    const SharedFile file = open_embedded(profile);
    std::vector<std::string> columns;
    for (const DeviceColumn& column : file->columns)
      columns.push_back(fmt::format("{} thread{}: MAPE {:.1f}%", column.threads,
                                    column.threads == 1 ? "" : "s",
                                    100 * column.predictor->validation().mape));
    rows.push_back(
        {std::string(profile.name),
         fmt::format("measured on {}, ONNX Runtime {}; {}", file->device.cpu,
                     file->device.runtime_version, join(columns, ", ")),
         true});
  }
  for (const DeviceProfile& profile : device_profiles())
    if (!find_embedded(std::string(profile.name)))
      rows.push_back(
          {std::string(profile.name), "analytic, not calibrated", false});
  return rows;
}

fs::path stored_device_file() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  // Base Directory Specification: a relative path is to be ignored.
  fs::path data = variable("XDG_DATA_HOME");
  if (!data.is_absolute()) {
    const fs::path home = variable("HOME");
    if (!home.is_absolute()) return {};
    data = home / ".local" / "share";
  }
  return data / "lathe" / "device.json";
}

OpenedDevice open_device(const std::string& device, int threads) {
  if (!device.empty()) return open_named(device, threads);
  OpenedDevice opened = open_default(threads);
  opened.traits = integer_traits(describe_device());
  return opened;
}

std::optional<DeviceTraits> integer_traits(const DeviceDescription& device) {
  const auto& sets = device.instruction_sets;
  auto has = [&](const char* set) {
    return std::find(sets.begin(), sets.end(), set) != sets.end();
  };
  if (device.architecture == "arm64")
    return DeviceTraits{device.name, /*unsigned_activations=*/false,
                        /*pairs_saturate=*/false};
  if (device.architecture != "x86-64" || sets.empty()) return std::nullopt;
  return DeviceTraits{device.name, /*unsigned_activations=*/true,
                      !has("avx512_vnni") && !has("avx_vnni")};
}

}  // namespace lathe::latency
