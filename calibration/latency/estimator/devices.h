// Which profile answers for a device.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calibration/latency/probe/measurements.h"
#include "passes/device_traits.h"
#include "passes/latency_model.h"

namespace lathe::latency {

struct DeviceRow {
  std::string name, summary;
  bool calibrated = false;  // measured
};

// The profiles in the program; the first is the default.
std::vector<DeviceRow> device_rows();

// Where `lathe profile` stores this machine's profile and looks for it:
// $XDG_DATA_HOME/lathe/device.json, else ~/.local/share/lathe/device.json;
// empty when the environment names neither.
std::filesystem::path stored_device_file();

struct OpenedDevice {
  std::unique_ptr<LatencyModel> model;
  // "the profile stored for this machine", "the embedded profile", "the
  // profile device.json": for notes.
  std::string source;
  std::filesystem::path file;  // empty: embedded
  // The file was measured on a processor with a runtime like this machine's.
  bool of_this_machine = false;
  // Of the device; without a name, of this machine. nullopt: the profile does
  // not say what they follow from.
  std::optional<DeviceTraits> traits = std::nullopt;
};

// What follows for quantization from a processor's instruction sets; nullopt
// for an architecture that nothing is known of, and for x86-64 without any.
std::optional<DeviceTraits> integer_traits(const DeviceDescription& device);

// `device`: a profile's file or the name of an embedded one; empty: the stored
// one, else the embedded default. Errors: kUsage with the nearest name for an
// unknown one, or for a thread count that the profile named does not have;
// kInput for a broken file. Without a name, a profile that lacks the thread
// count gives way to the next: stored, embedded, analytic.
OpenedDevice open_device(const std::string& device, int threads);

}  // namespace lathe::latency
