// A fixed piece of work that is timed between measurements: when its time
// moves, the machine has changed and not the network. Internal.
#pragma once

#include <cstddef>
#include <vector>

namespace lathe::latency {

class ReferenceKernel {
 public:
  ReferenceKernel();
  // Microseconds: the fastest of three times multiply-adds in registers (the
  // clock frequency, a neighbour on the same core) and a sweep over more
  // memory than a core's own caches hold (a neighbour in the shared ones).
  double time_us();

 private:
  double once_us();
  std::vector<float> memory_;
  float sink_ = 0;
};

// Knows from all its times what a quiet machine's is.
class QuietReference {
 public:
  double time_us();
  // At most 6% above the 10th percentile.
  bool is_quiet(double reference_us) const;
  const std::vector<double>& times() const { return times_; }  // sorted

 private:
  ReferenceKernel kernel_;
  std::vector<double> times_;
};

}  // namespace lathe::latency
