#include "calibration/latency/probe/reference_kernel.h"

#include <algorithm>
#include <chrono>

#include "calibration/latency/statistics.h"

namespace lathe::latency {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kFloats = size_t{3} << 18;  // 3 MiB
constexpr int kSteps = 20'000;
constexpr size_t kLanes = 16;
constexpr double kMaxDrift = 0.06, kLowQuantile = 0.1;

}  // namespace

ReferenceKernel::ReferenceKernel() : memory_(kFloats, 1.0f) {
  for (int i = 0; i < 5; ++i) once_us();
}

double ReferenceKernel::time_us() {
  return std::min({once_us(), once_us(), once_us()});
}

double ReferenceKernel::once_us() {
  Clock::time_point start = Clock::now();
  float lanes[kLanes];
  for (size_t i = 0; i < kLanes; ++i) lanes[i] = sink_ + static_cast<float>(i);
  for (int step = 0; step < kSteps; ++step)
    for (float& lane : lanes) lane = lane * 0.999f + 0.001f;
  float sum = 0;
  // One float of each 16 bytes: loads, not additions, take the time.
  for (size_t i = 0; i < memory_.size(); i += 4) sum += memory_[i];
  for (float lane : lanes) sum += lane;
  std::chrono::duration<double, std::micro> elapsed = Clock::now() - start;
  sink_ = sum * 1e-30f;  // keeps the work from being optimized away
  return elapsed.count();
}

double QuietReference::time_us() {
  const double time = kernel_.time_us();
  times_.insert(std::upper_bound(times_.begin(), times_.end(), time), time);
  return time;
}

bool QuietReference::is_quiet(double reference_us) const {
  return reference_us <= (1 + kMaxDrift) * quantile(times_, kLowQuantile);
}

}  // namespace lathe::latency
