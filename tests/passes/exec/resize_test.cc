// Resampling, beside the runtime.
#include <string>

#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::same_as_runtime;

const char* const kScales[] = {"2.0, 2.0", "3.0, 2.0", "1.6, 2.4",
                               "0.5, 0.5", "0.6, 1.7", "1.0, 1.5"};
const char* const kSizes[] = {"12, 14", "9, 5", "4, 3", "6, 13", "1, 1"};

// A [1,2,6,7] image, by scales or by sizes. Opset 11 wants every input.
void check_scales(const std::string& scales, const std::string& attributes,
                  int64_t opset, const std::string& type = "float") {
  const std::string roi = opset < 13 ? "%none" : "_";
  same_as_runtime("input %x: " + type + "[1,2,6,7] init %none = float[0] {} " +
                      "init %s = float[4] {1.0, 1.0, " + scales +
                      "} %y = Resize(%x, " + roi + ", %s) {" + attributes +
                      "} output %y",
                  {.opset = opset});
}

void check_sizes(const std::string& sizes, const std::string& attributes,
                 int64_t opset) {
  const std::string absent = opset < 13 ? "%none, %none" : "_, _";
  same_as_runtime(
      "input %x: float[1,2,6,7] init %none = float[0] {} init %s = "
      "int64[4] {1, 2, " +
          sizes + "} %y = Resize(%x, " + absent + ", %s) {" + attributes +
          "} output %y",
      {.opset = opset});
}

void check_both(const std::string& attributes, int64_t opset) {
  for (const char* scales : kScales) check_scales(scales, attributes, opset);
  for (const char* sizes : kSizes) check_sizes(sizes, attributes, opset);
}

std::string coordinates(const std::string& mode) {
  return "coordinate_transformation_mode = \"" + mode + "\"";
}

const char* const kCoordinates[] = {"half_pixel", "pytorch_half_pixel",
                                    "align_corners", "asymmetric"};

TEST_CASE("Resize to the nearest element, in every rounding") {
  for (const char* mode : kCoordinates)
    for (const char* nearest :
         {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})
      check_both(coordinates(mode) + ", nearest_mode = \"" + nearest + "\"",
                 13);
  check_both("mode = \"nearest\"", 11);
  for (const char* type : {"uint8", "int8", "int32"})
    check_scales("2.0, 1.5", "mode = \"nearest\"", 13, type);
}

TEST_CASE("Resize linearly") {
  for (const char* mode : kCoordinates)
    check_both("mode = \"linear\", " + coordinates(mode), 13);
  check_both("mode = \"linear\", " + coordinates("half_pixel_symmetric"), 19);
  check_both("mode = \"linear\"", 11);
  same_as_runtime(
      "input %x: float[4,5] init %s = float[2] {1.5, 0.7} "
      "%y = Resize(%x, _, %s) {mode = \"linear\"} output %y");
  same_as_runtime(
      "input %x: float[1,2,3,4,5] init %s = float[5] {1.0, 1.0, "
      "2.0, 1.5, 0.7} %y = Resize(%x, _, %s) {mode = \"linear\"} "
      "output %y");
}

TEST_CASE("Resize cubically") {
  for (const char* mode : kCoordinates) {
    check_both("mode = \"cubic\", " + coordinates(mode), 13);
    check_both("mode = \"cubic\", exclude_outside = 1, cubic_coeff_a = -0.5, " +
                   coordinates(mode),
               13);
  }
  check_both("mode = \"cubic\", " + coordinates("half_pixel_symmetric"), 19);
}

TEST_CASE("Resize of opset 10 and Upsample") {
  for (const char* mode : {"nearest", "linear"})
    for (const char* scales : kScales)
      same_as_runtime(
          "input %x: float[1,2,6,7] init %s = float[4] {1.0, 1.0, " +
              std::string(scales) + "} %y = Resize(%x, %s) {mode = \"" + mode +
              "\"} output %y",
          {.opset = 10});
  for (const char* mode : {"nearest", "linear"})
    for (const char* scales : {"2.0, 2.0", "1.5, 3.2"}) {
      const std::string four = "1.0, 1.0, " + std::string(scales);
      same_as_runtime("input %x: float[1,2,6,7] init %s = float[4] {" + four +
                          "} %y = Upsample(%x, %s) {mode = \"" + mode +
                          "\"} output %y",
                      {.opset = 9});
      same_as_runtime("input %x: float[1,2,6,7] %y = Upsample(%x) {mode = \"" +
                          std::string(mode) + "\", scales = [" + four +
                          "]} output %y",
                      {.opset = 8});
    }
}

TEST_CASE("Resize of a region") {
  for (const char* mode : {"nearest", "linear", "cubic"})
    for (const char* roi :
         {"0.2, 0.3, 1.0, 1.0, 0.8, 0.9", "-0.2, 0.1, 1.0, 1.0, 0.7, 1.3"}) {
      const std::string tail = std::string(" {mode = \"") + mode +
                               "\", extrapolation_value = 7.5, " +
                               coordinates("tf_crop_and_resize") +
                               "} output %y";
      const std::string head =
          "input %x: float[1,1,6,7] init %r = float[8] {0.0, 0.0, " +
          std::string(roi) + "} ";
      same_as_runtime(head +
                      "init %s = int64[4] {1, 1, 4, 9} "
                      "%y = Resize(%x, %r, _, %s)" +
                      tail);
      same_as_runtime(head +
                      "init %s = float[4] {1.0, 1.0, 1.5, 0.6} "
                      "%y = Resize(%x, %r, %s)" +
                      tail);
    }
}

TEST_CASE("Resize of chosen axes, keeping the aspect ratio") {
  for (const char* mode : {"nearest", "linear"}) {
    const std::string attribute = std::string("mode = \"") + mode + "\"";
    same_as_runtime(
        "input %x: float[1,2,6,7] init %s = float[2] {1.5, 2.0} "
        "%y = Resize(%x, _, %s) {axes = [2, 3], " +
            attribute + "} output %y",
        {.opset = 18});
    same_as_runtime(
        "input %x: float[1,2,6,7] init %s = int64[2] {5, 11} "
        "%y = Resize(%x, _, _, %s) {axes = [3, 2], " +
            attribute + "} output %y",
        {.opset = 18});
    for (const char* policy : {"stretch", "not_larger", "not_smaller"})
      for (const char* sizes : {"9, 9", "4, 20", "13, 3"})
        same_as_runtime("input %x: float[1,2,6,7] init %s = int64[2] {" +
                            std::string(sizes) +
                            "} %y = Resize(%x, _, _, %s) {axes = [2, " +
                            "3], keep_aspect_ratio_policy = \"" + policy +
                            "\", " + attribute + "} output %y",
                        {.opset = 18});
  }
}

TEST_CASE("Resize with a smoothing filter") {
  for (const char* mode : {"linear", "cubic"})
    for (const char* outside : {"0", "1"})
      for (const char* where : {"half_pixel", "align_corners", "asymmetric"})
        check_both(std::string("antialias = 1, mode = \"") + mode +
                       "\", exclude_outside = " + outside + ", " +
                       coordinates(where),
                   18);
}

TEST_CASE("Resize of bytes with a smoothing filter") {
  for (const char* mode : {"linear", "cubic"})
    for (const char* scales : {"0.6, 0.5", "0.3, 1.5"})
      same_as_runtime(
          "input %n: uint8[1,1,6,7] init %k = uint8[] {250} "
          "%x = Mul(%n, %k) init %s = float[4] {1.0, 1.0, " +
              std::string(scales) +
              "} %y = Resize(%x, _, %s) {antialias = 1, mode = \"" + mode +
              "\"} output %y",
          {.opset = 18});
}

TEST_CASE("Resize by a scale that leaves an axis as long as it is") {
  for (const char* mode : {"nearest", "linear", "cubic"}) {
    const std::string attribute = std::string("mode = \"") + mode + "\"";
    check_scales("1.1, 1.1", attribute, 13);
    check_scales("1.1, 1.5", attribute, 13);
    same_as_runtime(
        "input %x: float[1,1,6,7] init %r = float[8] {0.0, 0.0, "
        "0.2, 0.3, 1.0, 1.0, 0.8, 0.9} init %s = int64[4] {1, 1, "
        "6, 9} %y = Resize(%x, %r, _, %s) {" +
        attribute + ", " + coordinates("tf_crop_and_resize") + "} output %y");
  }
}

TEST_CASE("gradients of Resize") {
  for (const char* attributes :
       {"mode = \"nearest\"", "mode = \"linear\"", "mode = \"cubic\"",
        "mode = \"cubic\", exclude_outside = 1",
        "mode = \"linear\", antialias = 1",
        "mode = \"linear\", coordinate_transformation_mode = "
        "\"align_corners\"",
        "mode = \"nearest\", coordinate_transformation_mode = \"asymmetric\", "
        "nearest_mode = \"floor\""})
    for (const char* scales : {"2.0, 2.0", "0.6, 1.7"})
      gradients_agree(
          "input %x: double[1,2,3,4] init %s = float[4] {1.0, 1.0, " +
              std::string(scales) + "} %y = Resize(%x, _, %s) {" + attributes +
              "} output %y",
          {.opset = 18});
  gradients_agree(
      "input %x: double[1,1,3,4] init %r = float[8] {0.0, 0.0, "
      "-0.2, 0.1, 1.0, 1.0, 0.7, 0.9} init %s = int64[4] {1, 1, 5, "
      "3} %y = Resize(%x, %r, _, %s) {mode = \"linear\", "
      "coordinate_transformation_mode = \"tf_crop_and_resize\"} "
      "output %y");
}

TEST_CASE("GridSample in every mode") {
  // From 0 to 1 the inputs are; the grid then leaves the image on all sides.
  const std::string head =
      "input %x: float[2,3,5,6] input %n: float[2,4,3,2] "
      "init %two = float[] {3.0} init %one = float[] {1.5} "
      "%m = Mul(%n, %two) %g = Sub(%m, %one) %y = GridSample(%x, %g) ";
  for (const char* padding : {"zeros", "border", "reflection"})
    for (const char* align : {"0", "1"}) {
      const std::string tail = std::string("\", padding_mode = \"") + padding +
                               "\", align_corners = " + align + "} output %y";
      for (const char* mode : {"bilinear", "nearest", "bicubic"})
        same_as_runtime(head + "{mode = \"" + mode + tail, {.opset = 16});
      for (const char* mode : {"linear", "nearest", "cubic"})
        same_as_runtime(head + "{mode = \"" + mode + tail, {.opset = 20});
    }
  gradients_agree(
      "input %x: double[1,2,3,4] init %g = double[1,2,2,2] {-0.71, "
      "0.32, 0.13, -0.44, 0.81, 0.57, -0.22, 0.92} "
      "%y = GridSample(%x, %g) output %y",
      {.opset = 16});
}

TEST_CASE("AffineGrid of images and volumes") {
  for (const char* align : {"0", "1"}) {
    const std::string tail =
        std::string("%y = AffineGrid(%t, %s) {align_corners = ") + align +
        "} output %y";
    same_as_runtime(
        "input %t: float[2,2,3] init %s = int64[4] {2, 3, 4, 5} " + tail,
        {.opset = 20});
    same_as_runtime(
        "input %t: float[1,3,4] init %s = int64[5] {1, 3, 2, 4, 5} " + tail,
        {.opset = 20});
    gradients_agree(
        "input %t: double[1,2,3] init %s = int64[4] {1, 1, 2, 3} " + tail,
        {.opset = 20});
  }
}

}  // namespace
}  // namespace lathe
