// Operators that look up and write by index, beside the runtime.
#include <string>

#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::same_as_runtime;

TEST_CASE("Gather with indices of any rank along any axis") {
  for (const char* axis : {"0", "1", "-1"})
    for (const char* index : {"int64[] {-1}", "int64[] {2}",
                              "int64[3] {0, -3, 2}", "int32[2,2] {0, 1, -1, 2}",
                              "int64[2,1,2] {0, 1, 1, -2}", "int64[1] {1}"}) {
      const std::string tail = std::string("init %i = ") + index +
                               " %y = Gather(%x, %i) {axis = " + axis +
                               "} output %y";
      same_as_runtime("input %x: float[3,4,5] " + tail);
      same_as_runtime("input %x: int64[3,4,5] " + tail);
      gradients_agree("input %x: double[3,3,3] " + tail);
    }
  same_as_runtime(
      "input %x: bool[4,2] input %i: int64[3] "
      "%y = Gather(%x, %i) output %y");
  same_as_runtime(
      "input %x: float[4] input %i: int64[2,3] "
      "%y = Gather(%x, %i) output %y");
  same_as_runtime(
      "input %x: uint8[4,3] init %i = int64[0] {} "
      "%y = Gather(%x, %i) output %y");
}

TEST_CASE("GatherElements") {
  same_as_runtime(
      "input %x: float[3,3] init %i = int64[2,3] {1, 2, 0, -1, 0, "
      "-3} %y = GatherElements(%x, %i) output %y");
  same_as_runtime(
      "input %x: float[2,4] init %i = int32[2,2] {1, 3, 0, -1} "
      "%y = GatherElements(%x, %i) {axis = 1} output %y");
  same_as_runtime(
      "input %x: int64[2,4] init %i = int64[2,6] {1, 3, 0, -1, 0, "
      "0, 2, 2, 2, 1, 1, 3} %y = GatherElements(%x, %i) "
      "{axis = -1} output %y");
  gradients_agree(
      "input %x: double[3,2] init %i = int64[2,2] {1, 2, 0, -1} "
      "%y = GatherElements(%x, %i) output %y");
}

TEST_CASE("GatherND") {
  const std::string x = "input %x: float[2,3,4] ";
  for (const char* index : {"int64[2,1] {0, -1}", "int64[2,2] {0, 2, 1, -1}",
                            "int64[2,3] {0, 2, 3, 1, 0, -4}",
                            "int64[2,1,2] {0, 1, 1, -2}", "int64[3] {1, 2, 3}"})
    same_as_runtime(x + "init %i = " + index +
                    " %y = GatherND(%x, %i) output %y");
  same_as_runtime(x +
                  "init %i = int64[2,1] {2, -1} "
                  "%y = GatherND(%x, %i) {batch_dims = 1} output %y");
  same_as_runtime(x +
                  "init %i = int64[2,2,2] {2, 3, 0, 0, 1, -1, -3, 1} "
                  "%y = GatherND(%x, %i) {batch_dims = 1} output %y");
  same_as_runtime(x +
                  "init %i = int64[2,3,1] {2, 3, 0, 0, 1, -1} "
                  "%y = GatherND(%x, %i) {batch_dims = 2} output %y");
  gradients_agree(
      "input %x: double[2,3,2] init %i = int64[2,2,1] {2, 0, 0, "
      "-1} %y = GatherND(%x, %i) {batch_dims = 1} output %y");
}

TEST_CASE("ScatterElements in every reduction") {
  const std::string inputs = "[3,3] input %u: float[2,3] init %i = int64[2,3] ";
  same_as_runtime("input %x: float" + inputs +
                  "{1, 0, 2, 0, -1, 1} "
                  "%y = ScatterElements(%x, %i, %u) output %y");
  same_as_runtime(
      "input %x: float[3,4] input %u: float[3,2] init %i = "
      "int32[3,2] {1, -1, 0, 2, 3, 0} %y = ScatterElements(%x, %i, "
      "%u) {axis = 1} output %y");
  same_as_runtime(
      "input %x: float[3,4] input %u: float[3,2] init %i = "
      "int64[3,2] {1, -1, 0, 2, 3, 0} %y = Scatter(%x, %i, %u) "
      "{axis = 1} output %y",
      {.opset = 9});
  for (const char* reduction : {"add", "mul", "max", "min"}) {
    const std::string tail =
        "{1, 1, 2, 0, 1, -1} %y = ScatterElements(%x, %i, %u) {reduction = \"" +
        std::string(reduction) + "\"} output %y";
    same_as_runtime("input %x: float" + inputs + tail, {.opset = 18});
    gradients_agree(
        "input %x: double[3,3] input %u: double[2,3] "
        "init %i = int64[2,3] " +
            tail,
        {.opset = 18});
  }
  same_as_runtime(
      "input %x: int64[3,4] input %u: int64[3,2] init %i = "
      "int64[3,2] {1, 1, 0, 2, 3, 0} %y = ScatterElements(%x, %i, "
      "%u) {axis = -1, reduction = \"add\"} output %y",
      {.opset = 16});
}

TEST_CASE("ScatterND in every reduction") {
  same_as_runtime(
      "input %x: float[4,3] input %u: float[2,3] "
      "init %i = int64[2,1] {2, -4} %y = ScatterND(%x, %i, %u) "
      "output %y");
  same_as_runtime(
      "input %x: float[4,3] input %u: float[2] "
      "init %i = int64[2,2] {2, 0, -1, 1} "
      "%y = ScatterND(%x, %i, %u) output %y");
  same_as_runtime(
      "input %x: int64[2,4,3] input %u: int64[2,1,3] "
      "init %i = int64[2,1,2] {1, 0, 0, 3} "
      "%y = ScatterND(%x, %i, %u) output %y");
  for (const char* reduction : {"none", "add", "mul", "max", "min"}) {
    const std::string index =
        reduction == std::string("none") ? "{2, 0, 3} " : "{2, 0, 2} ";
    const std::string tail = "init %i = int64[3,1] " + index +
                             "%y = ScatterND(%x, %i, %u) {reduction = \"" +
                             reduction + "\"} output %y";
    same_as_runtime("input %x: float[4,2] input %u: float[3,2] " + tail,
                    {.opset = 18});
    gradients_agree("input %x: double[4,2] input %u: double[3,2] " + tail,
                    {.opset = 18});
  }
}

TEST_CASE("TopK takes the first of equal elements first") {
  for (const char* axis : {"-1", "0", "1"})
    for (const char* largest : {"0", "1"}) {
      const std::string tail =
          std::string("init %k = int64[1] {2} %v, %i = TopK(%x, %k) {axis = ") +
          axis + ", largest = " + largest + "} output %v output %i";
      same_as_runtime("input %x: float[3,4,5] " + tail);
      same_as_runtime("input %x: int64[3,4,5] " + tail);  // of 0 and 1
      same_as_runtime("input %x: int32[2,9,4] " + tail);
      gradients_agree("input %x: double[3,2,3] " + tail);
    }
  same_as_runtime(
      "input %x: float[3,4] %v, %i = TopK(%x) {k = 3} "
      "output %v output %i",
      {.opset = 9});
  same_as_runtime(
      "input %x: float[3,4] init %k = int64[1] {3} "
      "%v, %i = TopK(%x, %k) {axis = 0} output %v output %i",
      {.opset = 10});
  same_as_runtime(
      "input %x: float[3,40] init %k = int64[1] {7} %v, %i = "
      "TopK(%x, %k) {sorted = 0} %y = ReduceSum(%v) output %y");
}

TEST_CASE("NonMaxSuppression") {
  const std::string inputs =
      "input %b: float[2,12,4] input %s: float[2,3,12] "
      "init %m = int64[1] {4} init %t = float[1] {0.3} "
      "init %l = float[1] {0.4} ";
  for (const char* center : {"0", "1"})
    for (const char* call : {"(%b, %s, %m, %t, %l)", "(%b, %s, %m, %t)",
                             "(%b, %s, %m)", "(%b, %s)", "(%b, %s, %m, _, %l)"})
      for (uint64_t seed = 1; seed < 4; ++seed)
        same_as_runtime(inputs + "%y = NonMaxSuppression" + call +
                            " {center_point_box = " + center + "} output %y",
                        {.seed = seed});
  // Equal scores and equal boxes.
  same_as_runtime(
      "input %n: float[1] init %b = float[1,4,4] {0.0, 0.0, 1.0, 1.0, 0.0, "
      "0.0, 1.0, 1.0, 1.0, 3.0, 0.0, 2.0, 0.0, 5.0, 1.0, 6.0} "
      "init %c = float[1,1,4] {0.5, 0.5, 0.5, 0.9} %z = Floor(%n) "
      "%s = Add(%c, %z) init %m = int64[1] {3} init %t = float[1] {0.5} "
      "%y = NonMaxSuppression(%b, %s, %m, %t) output %y");
}

}  // namespace
}  // namespace lathe
