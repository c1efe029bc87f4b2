// A small labelled image set that is computed, not read: the demo's data.
//
// Ten classes of shapes (disc, ring, square, frame, triangle, plus, cross,
// crescent, bars, checks), 3x32x32 float, each drawn at a random place, size,
// angle and pair of colours over a gradient, with clutter and noise. Colour and
// place tell nothing about the class, so a linear classifier stays far below
// 90% (tests/calibration/data/procedural_test.cc measures it).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "passes/batch_source.h"

namespace lathe::data {

constexpr int64_t kProceduralClasses = 10;
constexpr int64_t kProceduralSize = 32;  // height and width

const std::vector<std::string>& procedural_class_names();

struct ProceduralImage {
  std::vector<float> pixels;  // [3, 32, 32], roughly in [-2, 2]
  int64_t label = 0;
};

// Image `index` of the set with that seed. Labels go round: index modulo 10.
ProceduralImage render_procedural(uint64_t seed, int64_t index);

// Input name "image". Same seed: same images, whatever the count.
std::shared_ptr<BatchSource> make_procedural_images(int64_t count,
                                                    uint64_t seed, int jobs);

}  // namespace lathe::data
