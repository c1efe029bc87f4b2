// The analytic latency model: time = max(work / peak, bytes / bandwidth) plus
// an overhead a node. Marked as uncalibrated.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "passes/latency_model.h"

namespace lathe::latency {

// Embedded profiles by name ("x86-64-avx512-vnni", …); the first is the
// default. Error kUsage with the nearest name for an unknown one.
std::vector<std::string> embedded_devices();
std::unique_ptr<LatencyModel> make_roofline(const std::string& device,
                                            int threads);

}  // namespace lathe::latency
