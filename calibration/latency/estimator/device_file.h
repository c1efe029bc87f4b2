// A device profile: what `lathe profile` measured and fitted, in one portable
// JSON file (docs/device-profile.md).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "calibration/latency/estimator/kernel_predictor.h"
#include "calibration/latency/kernel_source.h"
#include "calibration/latency/probe/measurements.h"
#include "passes/base/json.h"

namespace lathe::latency {

inline constexpr int kDeviceFileVersion = 1;

// What was measured and fitted for one thread count.
struct DeviceColumn {
  int threads = 1;
  NoiseCertificate noise;
  int64_t networks = 0, kernels = 0;  // measured
  std::shared_ptr<const KernelPredictor> predictor;
};

struct DeviceFile {
  DeviceDescription device;
  RuntimeTraits traits;
  uint64_t seed = 0;
  double seconds = 0;                 // that measuring took
  std::vector<DeviceColumn> columns;  // ascending threads, at least one
};

// What follows for the runtime from a processor's instruction sets.
RuntimeTraits traits_of(const DeviceDescription& device);

// Null when there is no such column.
const DeviceColumn* find_column(const DeviceFile& file, int threads);

// One JSON object, which ends with the SHA-256 of all that stands before it.
std::string to_text(const DeviceFile& file);

// Errors kInput with file:line:column and pointer: no profile at all, another
// version, missing or wrong values, a checksum that does not fit (the file was
// edited or damaged).
DeviceFile device_file_from_json(const JsonText& text);
// `source`: the name that messages show.
DeviceFile device_file_from_text(const std::string& text,
                                 const std::string& source);
DeviceFile read_device_file(const std::filesystem::path& path);

// JSON Schema (2020-12): docs/schemas/device.schema.json.
Json device_schema();

}  // namespace lathe::latency
