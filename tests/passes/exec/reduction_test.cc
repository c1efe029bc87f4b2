// Reductions, indices of extremes and running sums beside the runtime.
// clang-format off: LibTorch has a CHECK as well, doctest's must come later
#include "tests/passes/exec/exec_fixtures.h"
// clang-format on

#include "passes/base/error.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::run_program;
using test::same_as_runtime;

constexpr const char* kReductions[] = {
    "ReduceSum",       "ReduceMean",     "ReduceMax", "ReduceMin",
    "ReduceProd",      "ReduceL1",       "ReduceL2",  "ReduceLogSum",
    "ReduceLogSumExp", "ReduceSumSquare"};

// Elements are positive: logarithms are taken.
std::string operand(const std::string& type, const std::string& one) {
  return "input %x0: " + type + "[2,3,4] init %one = " + type + "[] {" + one +
         "} %x = Add(%x0, %one) ";
}

TEST_CASE("axes as an attribute") {
  for (const std::string op : kReductions) {
    for (const char* axes :
         {"", "axes = [1], ", "axes = [-1, 0], ", "axes = [0, 1, 2], "})
      for (const char* keep : {"keepdims = 0", "keepdims = 1"})
        same_as_runtime(operand("float", "0.5") + "%y = " + op + "(%x) {" +
                            axes + keep + "} output %y",
                        {.opset = 12});
    same_as_runtime(
        operand("int32", "1") + "%y = " + op + "(%x) {axes = [1]} output %y",
        {.opset = 12});
  }
}

TEST_CASE("axes as an input") {
  for (const std::string op : kReductions) {
    for (const char* axes : {"int64[1] {1}", "int64[2] {-1, 0}",
                             "int64[3] {0, 1, 2}", "int64[0] {}"})
      for (const char* keep : {"keepdims = 0", "keepdims = 1"})
        same_as_runtime(operand("float", "0.5") + "init %a = " + axes +
                            " %y = " + op + "(%x, %a) {" + keep + "} output %y",
                        {.opset = 18});
    same_as_runtime(operand("float", "0.5") + "%y = " + op + "(%x) output %y",
                    {.opset = 18});
    // Runtimes differ in whether these two apply their function then.
    if (op == "ReduceLogSum" || op == "ReduceSumSquare") continue;
    same_as_runtime(operand("float", "0.5") + "%y = " + op +
                        "(%x) {noop_with_empty_axes = 1} output %y",
                    {.opset = 18});
  }
  for (const char* type : {"int32", "int64", "double"})
    same_as_runtime(operand(type, type[0] == 'd' ? "1.0" : "1") +
                    "init %a = int64[1] {2} %y = ReduceSum(%x, %a) output %y");
}

TEST_CASE("axes that are computed") {
  same_as_runtime(
      "input %x: float[2,3,4] input %a: int64[1] %y = ReduceSum(%x, %a) output "
      "%y");
}

TEST_CASE("a reduced scalar") {
  const auto y = run_program("input %x: float[] %y = ReduceSum(%x) output %y",
                             {at::full({}, 3.0f)});
  CHECK(y[0].dim() == 0);
  CHECK(y[0].item<float>() == 3.0f);
}

TEST_CASE("extremes of other types") {
  for (const char* op : {"ReduceMax", "ReduceMin"})
    for (const char* type : {"int32", "int64", "int8", "uint8"})
      same_as_runtime("input %x: " + std::string(type) + "[2,3,4] %y = " + op +
                      "(%x) {axes = [-1]} output %y");
  at::Tensor flags = at::zeros({2, 2}, at::kBool);
  flags[0][1] = true;
  const std::string body =
      "input %x: bool[2,2] init %a = int64[1] {1} %y = ReduceMax(%x, %a) "
      "{keepdims = 0} output %y";
  const auto y = run_program(body, {flags}, 20);
  CHECK((y[0].scalar_type() == at::kBool));
  CHECK(y[0][0].item<bool>());
  CHECK_FALSE(y[0][1].item<bool>());
}

TEST_CASE("an axis out of range is an error") {
  CHECK_THROWS_AS(run_program("input %x: float[N] input %a: int64[1] %y = "
                              "ReduceSum(%x, %a) output %y",
                              {at::ones({3}), at::full({1}, 4, at::kLong)}),
                  Error);
}

TEST_CASE("indices of extremes") {
  for (const std::string op : {"ArgMax", "ArgMin"})
    for (const char* attributes :
         {"", "{axis = 1}", "{axis = -1, keepdims = 0}", "{keepdims = 0}",
          "{axis = 1, select_last_index = 1}",
          "{axis = -2, select_last_index = 1, keepdims = 0}"}) {
      // Integers are 0 or 1: there are many equal ones.
      for (const char* type : {"float", "double", "int32", "uint8"})
        same_as_runtime("input %x: " + std::string(type) + "[3,6,4] %y = " +
                        op + "(%x) " + attributes + " output %y");
    }
}

TEST_CASE("running sums") {
  for (const char* attributes : {"", "{exclusive = 1}", "{reverse = 1}",
                                 "{exclusive = 1, reverse = 1}"}) {
    for (const char* axis : {"int64[] {1}", "int32[] {-1}", "int64[1] {0}"})
      for (const char* type : {"float", "double", "int32", "int64"})
        same_as_runtime("input %x: " + std::string(type) +
                        "[2,3,4] init %a = " + axis + " %y = CumSum(%x, %a) " +
                        attributes + " output %y");
    same_as_runtime(
        "input %x: float[2,3] input %a: int64[] %y = CumSum(%x, %a) " +
        std::string(attributes) + " output %y");
  }
}

TEST_CASE("half precision is computed on the CPU") {
  for (const std::string op : {"ReduceSum", "ReduceProd", "ReduceL2"}) {
    const auto y = run_program(
        "input %x: float16[2,2] %y = " + op + "(%x) {keepdims = 0} output %y",
        {at::ones({2, 2}, at::kHalf)});
    CHECK((y[0].scalar_type() == at::kHalf));
    CHECK(y[0].item<float>() == (op == "ReduceSum"  ? 4.0f
                                 : op == "ReduceL2" ? 2.0f
                                                    : 1.0f));
  }
}

TEST_CASE("gradients of reductions") {
  for (const std::string op : kReductions) {
    const std::string x = op == "ReduceLogSum"
                              ? "input %x0: double[2,3,2] %x = Abs(%x0) "
                              : "input %x: double[2,3,2] ";
    gradients_agree(x + "init %a = int64[2] {0, -1} %y = " + op +
                        "(%x, %a) {keepdims = 0} output %y",
                    {.opset = 18, .tolerance = 1e-5, .seed = 1});
    gradients_agree(x + "%y = " + op + "(%x) output %y",
                    {.opset = 18, .tolerance = 1e-5, .seed = 2});
  }
}

TEST_CASE("gradients of running sums") {
  for (const char* attributes :
       {"", "{exclusive = 1}", "{exclusive = 1, reverse = 1}"})
    gradients_agree(
        "input %x: double[2,3] init %a = int64[] {1} %y = CumSum(%x, %a) " +
        std::string(attributes) + " output %y");
}

}  // namespace
}  // namespace lathe
