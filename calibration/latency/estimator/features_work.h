// How much a kernel's inner loops do, tiles and padding counted. Internal to
// the estimator.
#pragma once

#include <cstdint>
#include <string_view>

#include "calibration/latency/estimator/features.h"
#include "passes/kernel.h"

namespace lathe::latency {

// How a window slides over one side of the image.
struct Side {
  int64_t inner = 0;   // results whose window lies inside the image
  int64_t border = 0;  // results whose window reaches over its edge
  double taps = 1;     // share of the window's taps that are not padding
};
Side slide(int64_t in, int64_t out, int64_t kernel, int64_t stride,
           int64_t dilation);

// The sizes of the inner loops, whatever the kind.
struct Work {
  double flops_padded = 0, flops_tiled = 0;
  double patch_bytes = 0;  // copied or packed before the arithmetic
  double taps = 0;         // window elements visited
  double copies = 0;       // runs of channels gathered for that
  double width_use = 1;    // results a row over those of whole tiles
  double passes = 0;       // rows, of all matrices and groups
  int64_t rows = 0, depth = 0, columns = 0;
};
Work work_of(const KernelDescriptor& k, Family family, int lanes);

// Bytes of activations read and written; blocks of channels are whole.
struct Traffic {
  double in = 0, out = 0;
};
Traffic traffic_of(const KernelDescriptor& k, int lanes);

// Elements in memory over those of the result: blocks of channels are whole.
double whole_blocks(const KernelDescriptor& k, int lanes);

bool is_costly(std::string_view activation);
// How often an activation goes over the result in a pass of its own: the
// blocked kernels apply a Relu on the way.
double activation_passes(const KernelDescriptor& k);

double padded(int64_t value, int64_t unit);  // up to whole units

}  // namespace lathe::latency
