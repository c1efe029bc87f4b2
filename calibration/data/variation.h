// How an image is varied for training: what is drawn, without its pixels.
#pragma once

#include <cstdint>
#include <optional>

#include "passes/batch_source.h"

namespace lathe::data {

// Of one sample in one epoch.
struct Variation {
  uint64_t seed = 0;
  Augmentation augmentation = {};  // beside the data set's own
};

// The stronger of each.
Augmentation both(const Augmentation& a, const Augmentation& b);

struct Extent {
  int64_t width = 0, height = 0;  // pixels, at least one
};

struct Region {
  int64_t x = 0, y = 0, width = 0, height = 0;  // pixels
};

// What is to be resized to `result`: a share of the image's area uniform in
// [least_share, 1], of `result`'s aspect times e^u, u uniform in
// ±log(4/3) (Szegedy et al. 2015, "Going Deeper with Convolutions", section 6).
// Where ten draws do not fit into the image: its centre, as large as those
// aspects allow.
Region crop_region(const Extent& image, const Extent& result,
                   double least_share, uint64_t seed);

// Zhong et al. 2020, "Random Erasing Data Augmentation", algorithm 1: with that
// probability 2% to 33% of the area, of an aspect of 0.3 to 1/0.3 (uniform in
// its logarithm). nullopt as well where ten draws do not fit.
std::optional<Region> erased_region(const Extent& image, double probability,
                                    uint64_t seed);

}  // namespace lathe::data
