// This machine, as a profile names it.
#pragma once

#include "calibration/latency/probe/measurements.h"

namespace lathe::latency {

// From /proc/cpuinfo (x86 and Arm), os-release and the runtime. The name comes
// from the instruction sets: "x86-64-avx512-vnni", "x86-64-avx512",
// "x86-64-avx2", "x86-64", "arm64-neon-dotprod", "arm64-neon".
DeviceDescription describe_device();

}  // namespace lathe::latency
