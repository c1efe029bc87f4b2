// The device and the noise of its measurements, as JSON: the same in the file
// of `lathe-probe` and in a device profile.
#pragma once

#include <string>

#include "calibration/latency/probe/measurements.h"

namespace lathe::latency {

Json to_json(const DeviceDescription& device);
Json to_json(const NoiseCertificate& noise);

// Errors kInput with text.where(pointer) as place.
DeviceDescription device_from_json(const JsonText& text,
                                   const std::string& pointer);
NoiseCertificate noise_from_json(const JsonText& text,
                                 const std::string& pointer);

}  // namespace lathe::latency
