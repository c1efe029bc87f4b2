// Which activations can be blocked together, and with which shifts.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "passes/quantize/block_pixels_steps.h"
#include "passes/quantize/block_pixels_weights.h"

namespace lathe::quantize {

// Activations that are blocked or left plain as a whole.
struct Region {
  std::vector<Cell*> cells;  // in the order of the graph
  std::vector<Step*> steps;  // that read or write one of them
  std::map<const Cell*, BlockLayout> layouts;
  // Those whose pixels outside the image must be set to zero.
  std::set<const Cell*> masked;

  // Plain for cells outside.
  BlockLayout layout(const Cell* cell) const {
    auto found = layouts.find(cell);
    return found == layouts.end() ? BlockLayout{} : found->second;
  }
};

// The largest regions of cells without obstacle. Cells that cannot be blocked
// because of others get an obstacle as well:
//
// - a convolution of stride 1 leads from blocks to blocks only (there is no
//   convolution from blocks to twice as many pixels), one of stride 2 anywhere;
//   a plain input with blocked output is a larger stride, so any convolution
//   can lead into a region;
// - elementwise steps are blocked as a whole;
// - a convolution's window should span as few blocks as can be: that of 3x3
//   leads from images without shift to shifted ones and back, so that shifts
//   alternate. Where a shortcut passes an odd number of these, no shifts fit.
//
// Shifts are free up to one choice a chain and axis; the one with fewer masked
// elements is taken.
std::vector<Region> find_regions(const Steps& steps);

}  // namespace lathe::quantize
