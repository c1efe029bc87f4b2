// What the runtime's profiler adds to the times it reports. Internal.
//
// It notes the shapes of a node's inputs and outputs while the node's clock
// runs: 3 to 7 us a node, more for more inputs, which a small network feels as
// a multiple of its own time. The same networks timed without the profiler say
// how much: their time is what their nodes' times should add up to.
#pragma once

#include <vector>

#include "calibration/latency/probe/measurements.h"

namespace lathe::latency {

// Times as the profiler gives them, and how many inputs each node has.
struct ProfiledSample {
  NetworkSample sample;
  std::vector<int> inputs;  // one a kernel
};

class ProfilerCost {
 public:
  void learn(const ProfiledSample& profiled);
  // Takes the cost off each kernel's times: what this network itself says,
  // drawn to what all networks so far say where its own noise hides it. Times
  // stay above 0. Needs a sample that was learnt.
  NetworkSample corrected(ProfiledSample profiled) const;
  // Microseconds a node of one input; 0 before anything was learnt.
  double usual_us() const;

 private:
  struct Cost {
    double us = 0, sd_us = 0;  // of a node of one input
  };
  static Cost cost_of(const ProfiledSample& profiled);
  std::vector<Cost> costs_;
};

}  // namespace lathe::latency
