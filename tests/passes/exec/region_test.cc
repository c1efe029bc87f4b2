// Regions of images, columns to images and cuts beside the runtime.
#include "passes/base/error.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

// Inside, across every edge, smaller than a pixel, turned around.
const char* const kRegions =
    "init %r = float[5,4] {0.7, 1.2, 5.9, 4.4, -2.5, -1.0, 3.0, 3.5, "
    "4.0, 3.0, 11.0, 9.0, 2.2, 2.3, 2.5, 2.9, 5.0, 4.0, 3.0, 3.0} "
    "init %i = int64[5] {0, 1, 1, 0, 1} ";

TEST_CASE("RoiAlign") {
  for (const char* mode : {"avg", "max"})
    for (const char* coordinates : {"half_pixel", "output_half_pixel"})
      for (const char* ratio : {"0", "1", "3"})
        for (const char* scale : {"1.0", "0.7"})
          same_as_runtime(
              std::string("input %x: float[2,3,6,8] ") + kRegions +
                  "%y = RoiAlign(%x, %r, %i) {output_height = 3, output_width "
                  "= 2, mode = \"" +
                  mode + "\", coordinate_transformation_mode = \"" +
                  coordinates + "\", sampling_ratio = " + ratio +
                  ", spatial_scale = " + scale + "} output %y",
              {.opset = 16});
  same_as_runtime(std::string("input %x: float[2,3,6,8] ") + kRegions +
                      "%y = RoiAlign(%x, %r, %i) {output_height = 2} output %y",
                  {.opset = 10});
}

TEST_CASE("RoiAlign of regions without end") {
  CHECK_THROWS_WITH_AS(
      run_program("input %x: float[1,1,4,4] input %r: float[1,4] "
                  "input %i: int64[1] %y = RoiAlign(%x, %r, %i) @roi output %y",
                  {at::ones({1, 1, 4, 4}),
                   at::tensor({0.0f, 0.0f, 1e9f, 1e9f}).reshape({1, 4}),
                   at::zeros({1}, at::kLong)}),
      "RoiAlign 'roi': it cannot be computed on these inputs: a region is "
      "1e+09 by 1e+09 large",
      Error);
}

TEST_CASE("MaxRoiPool") {
  for (const char* scale : {"1.0", "0.5"})
    same_as_runtime(
        std::string("input %x: float[2,3,6,8] init %r = float[4,5] {0.0, 1.0, "
                    "1.0, 6.0, 4.0, 1.0, 0.0, 0.0, 7.0, 5.0, 1.0, 3.0, 2.0, "
                    "3.0, 2.0, 0.0, 5.0, 4.0, 12.0, 9.0} "
                    "%y = MaxRoiPool(%x, %r) {pooled_shape = [2,3], "
                    "spatial_scale = ") +
        scale + "} output %y");
}

TEST_CASE("Col2Im") {
  same_as_runtime(
      "input %x: float[2,12,12] init %i = int64[2] {5, 4} "
      "init %b = int64[2] {2, 2} %y = Col2Im(%x, %i, %b) output %y",
      {.opset = 18});
  same_as_runtime(
      "input %x: float[1,18,18] init %i = int64[2] {5, 8} "
      "init %b = int64[2] {3, 2} %y = Col2Im(%x, %i, %b) "
      "{pads = [2,1,1,1], strides = [1,3], dilations = [1,2]} output %y",
      {.opset = 18});
  same_as_runtime(
      "input %x: float[1,10,6] init %i = int64[1] {7} "
      "init %b = int64[1] {2} %y = Col2Im(%x, %i, %b) output %y",
      {.opset = 18});
}

TEST_CASE("CenterCropPad") {
  for (const char* target : {"3, 8, 4", "7, 2, 5", "1, 5, 9"})
    same_as_runtime(std::string("input %x: float[4,5,6] init %s = int64[3] {") +
                        target + "} %y = CenterCropPad(%x, %s) output %y",
                    {.opset = 18});
  same_as_runtime(
      "input %x: int64[4,5,6] init %s = int64[2] {9, 2} "
      "%y = CenterCropPad(%x, %s) {axes = [-1, 0]} output %y",
      {.opset = 18});
}

}  // namespace
}  // namespace lathe::test
