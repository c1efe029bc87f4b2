// Operators that move whole elements, beside the runtime.
#include <string>

#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::same_as_runtime;

const char* const kTypes[] = {"float", "double", "uint8", "int8",
                              "int32", "int64",  "bool"};

TEST_CASE("Concat joins along any axis") {
  for (const char* axis : {"0", "1", "-1"})
    same_as_runtime(std::string("input %a: float[2,3,4] input %b: float[2,3,4] "
                                "%y = Concat(%a, %b, %a) {axis = ") +
                    axis + "} output %y");
  same_as_runtime(
      "input %a: int64[2,3] input %b: int64[2,5] "
      "%y = Concat(%a, %b) {axis = 1} output %y");
  same_as_runtime("input %a: bool[3] %y = Concat(%a) {axis = 0} output %y");
  for (const char* type : kTypes)
    same_as_runtime("input %a: " + std::string(type) +
                    "[2,3] "
                    "%y = Concat(%a, %a) {axis = 1} output %y");
  same_as_runtime(
      "input %a: float16[2,3] %y = Concat(%a, %a) {axis = 0} "
      "output %y");
  gradients_agree(
      "input %a: double[2,3] input %b: double[2,1] "
      "%y = Concat(%a, %b) {axis = -1} output %y");
}

TEST_CASE("Split by sizes, in equal parts and with a smaller last one") {
  const std::string x = "input %x: float[2,7,3] ";
  same_as_runtime(x +
                  "init %s = int64[3] {1, 4, 2} "
                  "%a, %b, %c = Split(%x, %s) {axis = 1} "
                  "output %a output %b output %c");
  same_as_runtime(x +
                  "init %s = int64[2] {7, 0} "
                  "%a, %b = Split(%x, %s) {axis = -2} "
                  "output %a output %b");
  same_as_runtime(x + "%a, %b = Split(%x) output %a output %b");
  same_as_runtime(x + "%a, %b = Split(%x) {axis = 1, split = [3, 4]} "
                      "output %a output %b",
                  {.opset = 11});
  same_as_runtime(x + "%a, %b, %c = Split(%x) {axis = 2} "
                      "output %a output %b output %c",
                  {.opset = 11});
  same_as_runtime(x + "%a, %b, %c = Split(%x) {axis = 1, num_outputs = 3} "
                      "output %a output %b output %c",
                  {.opset = 18});
  gradients_agree(
      "input %x: double[2,5] init %s = int64[2] {2, 3} "
      "%a, %b = Split(%x, %s) {axis = 1} output %a output %b");
}

// starts, ends, axes and steps of a [5,6,7] tensor.
void check_slice(const std::string& starts, const std::string& ends,
                 const std::string& axes, const std::string& steps) {
  const std::string n = axes.empty() ? "[3]" : "[1]";
  std::string body = "input %x: float[5,6,7] init %s = int64" + n + " {" +
                     starts + "} init %e = int64" + n + " {" + ends + "} ";
  if (!axes.empty()) body += "init %a = int64" + n + " {" + axes + "} ";
  if (!steps.empty()) body += "init %t = int64" + n + " {" + steps + "} ";
  body += "%y = Slice(%x, %s, %e";
  body += axes.empty() ? (steps.empty() ? "" : ", _") : ", %a";
  body += steps.empty() ? ") output %y" : ", %t) output %y";
  same_as_runtime(body);
}

TEST_CASE("Slice clamps as ONNX says and walks both ways") {
  check_slice("1, 2, 3", "3, 4, 100", "", "");
  check_slice("0, -4, -100", "-1, -2, 5", "", "");
  check_slice("1, 0, 0", "5, 6, 7", "", "2, 3, 10");
  check_slice("-1, 5, 100", "0, -100, 1", "", "-1, -2, -3");
  check_slice("3", "1", "1", "1");
  check_slice("1", "3", "1", "-1");
  check_slice("2", "9223372036854775807", "-1", "");
  check_slice("9223372036854775807", "-9223372036854775808", "-2", "-1");
  check_slice("-2", "-1000", "2", "-100");
  same_as_runtime(
      "input %x: float[5,6] %y = Slice(%x) {starts = [1, -3], "
      "ends = [4, 1000], axes = [0, 1]} output %y",
      {.opset = 9});
  same_as_runtime(
      "input %x: int64[5,6] %y = Slice(%x) {starts = [1], "
      "ends = [-1]} output %y",
      {.opset = 9});
  same_as_runtime(
      "input %x: float[5,6] init %s = int32[2] {4, 1} "
      "init %e = int32[2] {0, 5} init %a = int32[2] {1, 0} "
      "init %t = int32[2] {-1, 2} "
      "%y = Slice(%x, %s, %e, %a, %t) output %y");
  gradients_agree(
      "input %x: double[4,5] init %s = int64[2] {1, 4} "
      "init %e = int64[2] {4, 0} init %a = int64[2] {0, 1} "
      "init %t = int64[2] {2, -2} "
      "%y = Slice(%x, %s, %e, %a, %t) output %y");
}

TEST_CASE("Pad in every mode") {
  for (const char* mode : {"constant", "reflect", "edge", "wrap"}) {
    const std::string name = std::string("{mode = \"") + mode + "\"} output %y";
    same_as_runtime(
        "input %x: float[2,4,5] init %p = int64[6] "
        "{0, 2, 1, 0, 3, 4} %y = Pad(%x, %p) " +
            name,
        {.opset = 19});
    same_as_runtime(
        "input %x: int32[3,4] init %p = int64[4] "
        "{1, 0, 2, 3} %y = Pad(%x, %p) " +
            name,
        {.opset = 19});
    same_as_runtime(
        "input %x: float[1,1,3,3,3] init %p = int64[10] "
        "{0, 0, 1, 2, 0, 0, 0, 2, 1, 1} %y = Pad(%x, %p) " +
            name,
        {.opset = 19});
    same_as_runtime(
        "input %x: float[2,4,5] init %p = int64[4] {1, 2, 2, 0} "
        "init %a = int64[2] {-1, 1} %y = Pad(%x, %p, _, %a) " +
            name,
        {.opset = 19});
    gradients_agree(
        "input %x: double[3,4] init %p = int64[4] {1, 2, 2, 3} "
        "%y = Pad(%x, %p) " +
            name,
        {.opset = 19});
  }
}

TEST_CASE("Pad with a value, with negative pads, in other types") {
  const std::string pads = "init %p = int64[4] {1, 0, 2, 3} ";
  for (const char* type : kTypes) {
    const std::string elem = type;
    const bool floats = elem == "float" || elem == "double";
    same_as_runtime("input %x: " + elem + "[2,3] " + pads +
                    "init %v = " + elem + "[] {" + (floats ? "0.5" : "1") +
                    "} %y = Pad(%x, %p, %v) output %y");
  }
  same_as_runtime(
      "input %x: float[5,6] init %p = int64[4] {-1, 2, 1, -3} "
      "init %v = float[1] {-2.5} %y = Pad(%x, %p, %v) output %y");
  same_as_runtime(
      "input %x: float[5,6] init %p = int64[4] {-1, -2, -1, -1} "
      "%y = Pad(%x, %p) output %y");
  same_as_runtime(
      "input %x: float[5,6] init %p = int64[4] {-1, 0, 0, 2} "
      "%y = Pad(%x, %p) {mode = \"edge\"} output %y");
  same_as_runtime(
      "input %x: float[1,2,3,3] %y = Pad(%x) {mode = \"constant\", "
      "pads = [0, 0, 1, 2, 0, 0, 2, 1], value = 1.5} output %y",
      {.opset = 10});
  same_as_runtime(
      "input %x: float[1,2,3,3] %y = Pad(%x) {mode = \"reflect\", "
      "pads = [0, 0, 1, 2, 0, 0, 2, 1]} output %y",
      {.opset = 10});
  // The value may be computed.
  gradients_agree(
      "input %x: double[2,3] input %v: double[] "
      "init %p = int64[4] {1, -1, 0, 2} "
      "%y = Pad(%x, %p, %v) output %y");
}

TEST_CASE("channels become space and space becomes channels") {
  for (const char* mode : {"DCR", "CRD"})
    same_as_runtime(std::string("input %x: float[2,12,2,3] %y = DepthToSpace("
                                "%x) {blocksize = 2, mode = \"") +
                    mode + "\"} output %y");
  same_as_runtime(
      "input %x: float[1,9,1,2] %y = DepthToSpace(%x) "
      "{blocksize = 3} output %y",
      {.opset = 10});
  same_as_runtime(
      "input %x: float[2,3,4,6] %y = SpaceToDepth(%x) "
      "{blocksize = 2} output %y");
  gradients_agree(
      "input %x: double[1,4,1,2] %d = DepthToSpace(%x) "
      "{blocksize = 2} %y = SpaceToDepth(%d) {blocksize = 2} "
      "output %d output %y");
}

TEST_CASE("Trilu keeps one side of a diagonal") {
  for (const char* upper : {"0", "1"})
    for (const char* k : {"-2", "0", "1", "7"})
      same_as_runtime(
          std::string("input %x: float[2,3,4] init %k = int64[] {") + k +
          "} %y = Trilu(%x, %k) {upper = " + upper + "} output %y");
  same_as_runtime("input %x: int64[3,3] %y = Trilu(%x) output %y");
  same_as_runtime("input %x: bool[3,4] %y = Trilu(%x) {upper = 0} output %y");
  gradients_agree("input %x: double[3,3] %y = Trilu(%x) output %y");
}

TEST_CASE("ReverseSequence turns the first elements of each row") {
  same_as_runtime(
      "input %x: float[4,3,2] init %l = int64[3] {1, 4, 3} "
      "%y = ReverseSequence(%x, %l) output %y");
  same_as_runtime(
      "input %x: float[3,4] init %l = int64[3] {2, 1, 4} "
      "%y = ReverseSequence(%x, %l) {batch_axis = 0, "
      "time_axis = 1} output %y");
  gradients_agree(
      "input %x: double[3,2] init %l = int64[2] {3, 2} "
      "%y = ReverseSequence(%x, %l) output %y");
}

TEST_CASE("Compress and NonZero choose elements") {
  const std::string x = "input %x: float[3,4] ";
  same_as_runtime(x +
                  "init %c = bool[3] {1, 0, 1} "
                  "%y = Compress(%x, %c) {axis = 0} output %y");
  same_as_runtime(x +
                  "init %c = bool[2] {0, 1} "
                  "%y = Compress(%x, %c) {axis = -1} output %y");
  same_as_runtime(x +
                  "init %c = bool[5] {0, 1, 0, 0, 1} "
                  "%y = Compress(%x, %c) output %y");
  gradients_agree(
      "input %x: double[3,2] init %c = bool[3] {1, 0, 1} "
      "%y = Compress(%x, %c) {axis = 0} output %y");
  for (const char* type : {"int64", "int32", "bool", "uint8"})
    same_as_runtime(std::string("input %x: ") + type +
                    "[3,4] %y = NonZero(%x) output %y");
  same_as_runtime(
      "init %z = float[2,3] {0.0, 1.0, 0.0, 0.0, -2.0, 3.0} "
      "input %x: float[2,3] %p = Mul(%x, %z) %y = NonZero(%p) "
      "output %y");
}

TEST_CASE("OneHot along any axis") {
  for (const char* axis : {"-1", "0", "1", "-2"})
    same_as_runtime(
        std::string("input %x: float[2,3] init %i = int64[2,3] {0, 3, -1, 2, "
                    "5, -4} init %d = int64[] {4} init %v = float[2] {0.5, "
                    "2.0} %h = OneHot(%i, %d, %v) {axis = ") +
        axis +
        "} %s = ReduceSum(%x) {keepdims = 0} %y = Mul(%h, %s) output %y");
  same_as_runtime(
      "input %i: int64[5] init %d = int64[1] {3} "
      "init %v = int64[2] {0, 1} %y = OneHot(%i, %d, %v) "
      "output %y");
  gradients_agree(
      "input %v: double[2] init %i = int64[3] {0, 2, 1} "
      "init %d = int64[] {3} %y = OneHot(%i, %d, %v) output %y");
}

TEST_CASE("Unique, sorted or in order of appearance") {
  const std::string x =
      "input %n: float[1] init %c = float[2,4] {2.0, 1.0, 1.0, 3.0, 2.0, 1.0, "
      "1.0, 4.0} %z = Floor(%n) %x = Add(%c, %z) ";
  const std::string outputs =
      "output %y output %first output %inverse output %counts";
  for (const char* attributes :
       {"{sorted = 1}", "{sorted = 0}", "{sorted = 1, axis = 1}",
        "{sorted = 0, axis = 1}", "{sorted = 1, axis = 0}"})
    same_as_runtime(x + "%y, %first, %inverse, %counts = Unique(%x) " +
                    attributes + " " + outputs);
}

}  // namespace
}  // namespace lathe
