// Elementwise kernels beside the runtime, their gradients beside differences.
// clang-format off: LibTorch has a CHECK as well, doctest's must come later
#include "tests/passes/exec/exec_fixtures.h"
// clang-format on

#include "passes/base/error.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::run_program;
using test::same_as_runtime;

// x is in [-1, 1), or what `prepare` makes of it.
void unary_like_runtime(const std::string& op, const std::string& type,
                        const std::string& prepare = "Identity(%s)") {
  same_as_runtime("input %x: " + type + "[2,3,5] init %two = " + type +
                  "[] {2.0} init %one = " + type +
                  "[1] {1.0} %d = Mul(%x, %two) %s = Sub(%d, %one) %p = " +
                  prepare + " %y = " + op + "(%p) output %y");
}

TEST_CASE("functions of one operand") {
  for (const char* op :
       {"Neg", "Abs", "Reciprocal", "Exp", "Floor", "Ceil", "Round", "Sin"})
    for (const char* type : {"float", "double"}) unary_like_runtime(op, type);
  for (const char* op :
       {"Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Atanh"})
    unary_like_runtime(op, "float");
  for (const char* op : {"Sqrt", "Log"})
    for (const char* type : {"float", "double"})
      unary_like_runtime(op, type, "Abs(%s)");
  unary_like_runtime("Acosh", "float", "Add(%d, %one)");
}

TEST_CASE("rounding goes to the even neighbour") {
  same_as_runtime(
      "input %x: float[1] init %c = float[6] {0.5, 1.5, 2.5, -0.5, -1.5, 0.4} "
      "%z = Sub(%x, %x) %s = Add(%z, %c) %y = Round(%s) output %y");
}

TEST_CASE("NaN and infinities") {
  const std::string values =
      "input %x: float[1] init %c = float[4] {inf, -inf, nan, 1.0} "
      "%s = Add(%x, %c) ";
  same_as_runtime(values + "%y = IsNaN(%s) output %y");
  same_as_runtime(values + "%y = IsInf(%s) output %y");
  same_as_runtime(values + "%y = IsInf(%s) {detect_positive = 0} output %y");
  same_as_runtime(values + "%y = IsInf(%s) {detect_negative = 0} output %y");
  same_as_runtime(values +
                  "%y = IsInf(%s) {detect_negative = 0, detect_positive = 0} "
                  "output %y");
}

TEST_CASE("arithmetic broadcasts") {
  for (const char* op : {"Add", "Sub", "Mul", "Div"})
    for (const char* shape : {"2,3,4", "4", "1,3,1", "5,2,3,4", "", "1"})
      for (const char* type : {"float", "double"})
        same_as_runtime(
            "input %x: " + std::string(type) + "[2,3,4] input %w: " + type +
            "[" + shape + "] init %one = " + type +
            "[] {1.0} %v = Add(%w, %one) %y = " + op + "(%x, %v) output %y");
}

// a holds numbers of both signs, b none that is 0.
std::string integers(const std::string& type) {
  return "input %x: " + type + "[4] init %a0 = " + type +
         "[4] {-7, 7, -8, 9} init %b = " + type +
         "[4] {2, -2, 3, -4} %a = Add(%x, %a0) ";
}

TEST_CASE("integer arithmetic") {
  for (const char* type : {"int32", "int64"}) {
    for (const char* op : {"Add", "Sub", "Mul", "Div", "Mod", "Max", "Min"})
      same_as_runtime(integers(type) + "%y = " + op + "(%a, %b) output %y");
    for (const char* op : {"Neg", "Abs"})
      same_as_runtime(integers(type) + "%y = " + op + "(%a) output %y");
    same_as_runtime(integers(type) + "%y = Mod(%a, %b) {fmod = 1} output %y");
  }
  same_as_runtime(
      "input %x: int64[4] init %two = int64[] {2} init %c = int64[4] {-5, 5, "
      "6, -6} %a = Add(%x, %c) %y = Div(%a, %two) output %y");
}

TEST_CASE("narrow unsigned results wrap around") {
  const auto y = run_program(
      "input %x: uint32[1] init %o = uint32[1] {2} %y = Sub(%x, %o) output %y",
      {at::ones({1}, at::kLong)});
  CHECK(y[0].item<int64_t>() == 4294967295);
  const auto z =
      run_program("input %x: uint16[1] %y = BitwiseNot(%x) output %y",
                  {at::ones({1}, at::kInt)}, 18);
  CHECK(z[0].item<int64_t>() == 65534);
}

TEST_CASE("fmod has the dividend's sign") {
  for (const char* type : {"float", "double"})
    same_as_runtime("input %x: " + std::string(type) + "[4] init %c = " + type +
                    "[4] {-7.0, 7.0, -8.0, 9.0} init %b = " + type +
                    "[4] {2.0, -2.0, 3.5, -4.25} %a = Sub(%c, %x) %y = Mod(%a, "
                    "%b) {fmod = 1} output %y");
  CHECK_THROWS_AS(run_program("input %x: float[2] %y = Mod(%x, %x) output %y",
                              {at::ones({2})}),
                  Error);
}

TEST_CASE("powers have the base's type") {
  auto power = [](const std::string& base, const std::string& exponent) {
    same_as_runtime("input %x: " + base + "[2,3] init %e = " + exponent +
                    " %y = Pow(%x, %e) output %y");
  };
  for (const char* base : {"float", "double"}) {
    power(base, "float[] {2.0}");
    power(base, "float[1] {0.5}");
    power(base, "float[3] {1.5, 2.0, 3.0}");
    power(base, "float[1,1,1] {2.0}");
    power(base, "int64[] {3}");
    power(base, "int32[3] {0, 1, 2}");
  }
  for (const char* base : {"int32", "int64"}) {
    power(base, "int32[3] {0, 1, 5}");
    power(base, "int64[] {2}");
    power(base, "float[] {2.0}");
  }
  same_as_runtime(
      "input %x: float[2,3] input %e: float[2,1] %y = Pow(%x, %e) output %y");
}

TEST_CASE("any number of operands") {
  for (const char* op : {"Max", "Min", "Sum", "Mean"}) {
    const std::string name = op;
    same_as_runtime("input %a: float[2,3] %y = " + name + "(%a) output %y");
    same_as_runtime("input %a: float[2,3] input %b: float[3] %y = " + name +
                    "(%a, %b) output %y");
    same_as_runtime(
        "input %a: float[2,3] input %b: float[4,1,1] input %c: float[] %y = " +
        name + "(%a, %b, %c) output %y");
  }
  for (const char* type : {"double", "int32", "int64"})
    for (const char* op : {"Max", "Min"})
      same_as_runtime("input %a: " + std::string(type) + "[2,3] input %b: " +
                      type + "[3] %y = " + op + "(%a, %b) output %y");
}

TEST_CASE("comparisons") {
  for (const char* op :
       {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
    for (const char* type : {"float", "double", "int32", "int64"})
      same_as_runtime("input %a: " + std::string(type) + "[4,3] input %b: " +
                      type + "[3] %y = " + op + "(%a, %b) output %y");
}

TEST_CASE("logic") {
  const std::string operands =
      "input %x: bool[2] init %p = bool[4,1] {1, 1, 0, 0} init %f = bool[2] "
      "{1, 0} %q = And(%x, %f) ";
  for (const char* op : {"And", "Or", "Xor", "Equal"})
    same_as_runtime(operands + "%y = " + op + "(%p, %q) output %y");
  same_as_runtime(operands + "%y = Not(%q) output %y");
}

TEST_CASE("where") {
  for (const char* type : {"float", "double", "int32", "int64", "uint8"})
    same_as_runtime("input %i: int64[3] input %a: " + std::string(type) +
                    "[2,3] input %b: " + type +
                    "[] %c = Cast(%i) {to = 9} %y = Where(%c, %a, %b) output "
                    "%y");
}

TEST_CASE("bits") {
  for (const char* type : {"uint8", "uint32", "uint64"}) {
    const std::string operands = "input %x: " + std::string(type) +
                                 "[3] init %c = " + type +
                                 "[3] {16, 129, 250} init %n = " + type +
                                 "[3] {1, 3, 2} %a = BitwiseOr(%x, %c) ";
    for (const char* direction : {"LEFT", "RIGHT"})
      same_as_runtime(operands + "%y = BitShift(%a, %n) {direction = \"" +
                          direction + "\"} output %y",
                      {.opset = 18});
  }
  for (const char* type :
       {"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"}) {
    const std::string operands = "input %x: " + std::string(type) +
                                 "[2,3] init %c = " + type + "[3] {5, 9, 12} ";
    for (const char* op : {"BitwiseAnd", "BitwiseOr", "BitwiseXor"})
      same_as_runtime(operands + "%y = " + op + "(%x, %c) output %y",
                      {.opset = 18});
    same_as_runtime(operands + "%y = BitwiseNot(%x) output %y", {.opset = 18});
  }
}

TEST_CASE("half precision is computed on the CPU") {
  const at::Tensor x = at::full({2}, 0.25, at::kHalf);
  for (const char* op : {"Sqrt", "Exp", "Floor", "Sin"}) {
    const auto y = run_program(
        "input %x: float16[2] %y = " + std::string(op) + "(%x) output %y", {x});
    CHECK((y[0].scalar_type() == at::kHalf));
  }
}

TEST_CASE("gradients of functions") {
  const std::string x = "input %x: double[2,3] ";
  for (const char* op :
       {"Neg", "Abs", "Reciprocal", "Exp", "Floor", "Ceil", "Round", "Sin",
        "Cos", "Atan", "Sinh", "Cosh", "Asinh"})
    gradients_agree(x + "%y = " + op + "(%x) output %y");
  for (const char* op : {"Sqrt", "Log"})
    gradients_agree(x + "%p = Abs(%x) %y = " + op + "(%p) output %y");
  for (const char* op : {"Asin", "Acos", "Atanh", "Tan"})
    gradients_agree(x + "init %h = double[] {0.5} %p = Mul(%x, %h) %y = " + op +
                    "(%p) output %y");
  gradients_agree(x +
                  "init %o = double[] {1.0} %a = Abs(%x) %p = Add(%a, %o) %y = "
                  "Acosh(%p) output %y");
}

TEST_CASE("gradients of operators that broadcast") {
  const std::string operands =
      "input %a: double[2,3] input %b: double[4,1,3] input %c: double[] ";
  for (const char* op : {"Add", "Sub", "Mul", "Div"})
    gradients_agree("input %a: double[2,3] input %b: double[4,1,3] %y = " +
                    std::string(op) + "(%a, %b) output %y");
  for (const char* op : {"Max", "Min", "Sum", "Mean"})
    gradients_agree(operands + "%y = " + op + "(%a, %b, %c) output %y");
  gradients_agree(
      "input %a: double[2,3] input %b: double[3] %p = Abs(%a) %y = Pow(%p, %b) "
      "output %y");
  gradients_agree(
      "input %a: double[2,3] init %e = double[] {3.0} %y = Pow(%a, %e) output "
      "%y");
  gradients_agree(
      "input %a: double[2,3] input %b: double[3] %g = Greater(%a, %b) %y = "
      "Where(%g, %a, %b) output %y");
  gradients_agree(
      "input %a: double[2,3] init %m = double[] {0.7} %y = Mod(%a, %m) {fmod = "
      "1} output %y");
}

}  // namespace
}  // namespace lathe
