#include <limits>

#include "tests/passes/io/torch/aten/aten_fixture.h"

namespace lathe::test {
namespace {

using Nodes = std::vector<std::string>;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

at::Tensor reals(at::ScalarType type = at::kFloat) {
  return at::tensor({-7.5, -2.0, -1.0, -0.3, 0.4, 1.0, 2.5, 9.0}, type)
      .view({2, 4});
}

at::Tensor divisors(at::ScalarType type = at::kFloat) {
  return at::tensor({3, -2, 2, -5}, type);
}

at::Tensor ints(at::ScalarType type = at::kLong) {
  return at::tensor({-7, -2, -1, 0, 4, 1, 2, 9}, type).view({2, 4});
}

at::Tensor bools() {
  return at::tensor({1, 0, 1, 0}).view({2, 2}).to(at::kBool);
}

TEST_CASE("aten: sums and products promote types") {
  const at::Tensor row = at::tensor({1.5f, -2.0f, 0.0f, 4.0f});
  for (const std::string op : {"aten::add", "aten::sub", "aten::rsub"}) {
    same_as_torch(op + ".Tensor", {reals(), row});
    same_as_torch(op + ".Tensor", {reals(), row, 2});
    same_as_torch(op + ".Tensor", {ints(), row, 3});
    same_as_torch(op + ".Tensor", {ints(at::kInt), ints(), 2});
    same_as_torch(op + ".Tensor", {ints(at::kChar), ints(at::kByte)});
    same_as_torch(op + ".Tensor", {reals(), reals(at::kDouble), 0.5});
    same_as_torch(op + ".Scalar", {reals(), 3});
    same_as_torch(op + ".Scalar", {reals(), 3, 2});
    same_as_torch(op + ".Scalar", {ints(), 3, 2});
    same_as_torch(op + ".Scalar", {ints(), 0.5});
  }
  // A 0-D tensor does not widen one with dimensions.
  same_as_torch("aten::add.Tensor",
                {reals(), at::scalar_tensor(2.0, at::kDouble)});
  for (const std::string op : {"aten::mul", "aten::multiply"}) {
    same_as_torch(op + ".Tensor", {reals(), row});
    same_as_torch(op + ".Tensor", {ints(), at::scalar_tensor(0.5)});
    same_as_torch(op + ".Scalar", {ints(at::kByte), 3});
  }
  same_as_torch("aten::subtract.Tensor", {ints(), ints(at::kInt), 2});
  same_as_torch("aten::add.Tensor", {bools(), bools().t()});
  same_as_torch("aten::mul.Tensor", {bools(), bools().t()});
  same_as_torch("aten::mul.Tensor", {bools(), at::randn({2, 2})});
  CHECK(emitted_nodes("aten::add.Tensor", {reals(), row}) == Nodes{"Add"});
  CHECK(emitted_nodes("aten::add.Tensor", {reals(), row, 2}) ==
        Nodes{"Mul", "Add"});
  CHECK(emitted_nodes("aten::add.Scalar", {reals(), 3, 2}) == Nodes{"Add"});
}

TEST_CASE("aten: division rounds as PyTorch does") {
  const c10::IValue none;
  for (const std::string op : {"aten::div", "aten::divide"})
    for (const c10::IValue& mode :
         {none, c10::IValue("floor"), c10::IValue("trunc")}) {
      same_as_torch(op + ".Tensor_mode", {reals(), divisors(), mode});
      same_as_torch(op + ".Tensor_mode",
                    {reals(at::kDouble), divisors(), mode});
      for (auto type : {at::kLong, at::kInt, at::kShort, at::kChar})
        same_as_torch(op + ".Tensor_mode", {ints(type), divisors(type), mode});
      same_as_torch(
          op + ".Tensor_mode",
          {ints().abs().to(at::kByte), at::scalar_tensor(3, at::kByte), mode});
      for (double divisor : {2.0, -4.0, 3.0, 0.1, -0.7})
        same_as_torch(op + ".Scalar_mode", {reals(), divisor, mode});
      for (int64_t divisor : {2, -3})
        same_as_torch(op + ".Scalar_mode", {ints(), divisor, mode});
      same_as_torch(op + ".Scalar_mode", {ints(), 2.5, mode});
    }
  same_as_torch("aten::div.Tensor", {reals(), divisors()});
  same_as_torch("aten::div.Tensor", {ints(), divisors(at::kLong)});
  same_as_torch("aten::div.Tensor", {bools(), bools()});
  same_as_torch("aten::div.Scalar", {ints(), 4});
  same_as_torch("aten::true_divide.Tensor", {ints(), ints(at::kInt) * 2 + 1});
  same_as_torch("aten::true_divide.Scalar", {reals(), 4});
  same_as_torch("aten::floor_divide", {ints(), divisors(at::kLong)});
  same_as_torch("aten::floor_divide", {reals(), divisors()});
  same_as_torch("aten::floor_divide.Scalar", {ints(), -2});
  // 1 / 0.1 rounds to 10, but 0.1 goes into 1 only nine times.
  same_as_torch("aten::floor_divide",
                {at::tensor({1.0f, -1.0f, 0.3f}), at::scalar_tensor(0.1)});
  same_as_torch("aten::floor_divide", {at::tensor({1.0f, -1.0f, 0.0f}),
                                       at::tensor({0.0f, 0.0f, 0.0f})});
  CHECK(emitted_nodes("aten::div.Tensor", {reals(), divisors()}) ==
        Nodes{"Div"});
  CHECK(emitted_nodes("aten::div.Scalar_mode", {reals(), 16, "floor"}) ==
        Nodes{"Div", "Floor"});
  CHECK(emitted_nodes("aten::div.Scalar_mode", {ints(), 16, "floor"}) ==
        Nodes{"Mod", "Sub", "Div"});
  CHECK(emitted_nodes("aten::div.Scalar_mode", {ints(), 16, "trunc"}) ==
        Nodes{"Div"});
  CHECK(emit_error("aten::div.Scalar_mode", {ints(), 16, "up"}) ==
        "test: aten::div: argument 'rounding_mode' is 'up', expected None, "
        "'trunc' or 'floor'");
}

TEST_CASE("aten: remainders with Python's and C's sign") {
  for (const std::string op : {"aten::remainder", "aten::fmod"}) {
    same_as_torch(op + ".Tensor", {reals(), divisors()});
    same_as_torch(op + ".Tensor", {reals(at::kDouble), divisors()});
    for (auto type : {at::kLong, at::kInt, at::kChar})
      same_as_torch(op + ".Tensor", {ints(type), divisors(type)});
    for (double divisor : {2.0, -2.0, 0.3})
      same_as_torch(op + ".Scalar", {reals(), divisor});
    for (int64_t divisor : {3, -3})
      same_as_torch(op + ".Scalar", {ints(), divisor});
  }
  same_as_torch("aten::remainder.Scalar_Tensor", {7, divisors(at::kLong)});
  CHECK(emitted_nodes("aten::remainder.Scalar", {ints(), 3}) == Nodes{"Mod"});
}

TEST_CASE("aten: powers") {
  for (double exponent : {2.0, 3.0, 1.0, 0.0, -1.0, -2.0})
    same_as_torch("aten::pow.Tensor_Scalar", {reals(), exponent});
  for (double exponent : {0.5, -0.5, 1.7})
    same_as_torch("aten::pow.Tensor_Scalar", {reals().abs(), exponent});
  for (int64_t exponent : {0, 1, 2, 3})
    for (auto type : {at::kLong, at::kInt, at::kChar})
      same_as_torch("aten::pow.Tensor_Scalar", {ints(type), exponent});
  same_as_torch("aten::pow.Tensor_Scalar", {ints().abs(), 0.5});
  same_as_torch("aten::pow.Tensor_Tensor", {reals(), divisors()});
  same_as_torch("aten::pow.Tensor_Tensor", {ints(), ints().abs()});
  same_as_torch("aten::pow.Tensor_Tensor", {ints().abs() + 1, reals()});
  same_as_torch("aten::pow.Scalar", {2, reals()});
  same_as_torch("aten::pow.Scalar", {2, ints().abs()});
  same_as_torch("aten::pow.Scalar", {0.5, ints()});
  same_as_torch("aten::float_power.Tensor_Scalar", {ints(), 2});
  same_as_torch("aten::float_power.Tensor_Tensor", {reals(), divisors()});
  same_as_torch("aten::float_power.Scalar", {2, reals()});
  CHECK(emitted_nodes("aten::pow.Tensor_Scalar", {reals(), 2}) == Nodes{"Pow"});
  CHECK(emitted_nodes("aten::pow.Tensor_Scalar", {reals(), 0.5}) ==
        Nodes{"Sqrt"});
  CHECK(emitted_nodes("aten::pow.Tensor_Scalar", {reals(), -0.5}) ==
        Nodes{"Sqrt", "Reciprocal"});
}

TEST_CASE("aten: functions of one operand") {
  for (const char* op :
       {"aten::exp",           "aten::expm1",         "aten::exp2",
        "aten::special_exp2",  "aten::special_expm1", "aten::sigmoid",
        "aten::special_expit", "aten::tanh",          "aten::reciprocal",
        "aten::erf",           "aten::special_erf",   "aten::erfc",
        "aten::special_erfc",  "aten::sin",           "aten::cos",
        "aten::tan",           "aten::atan",          "aten::arctan",
        "aten::sinh",          "aten::cosh",          "aten::asinh",
        "aten::arcsinh",       "aten::deg2rad",       "aten::rad2deg"})
    for (auto type : {at::kFloat, at::kDouble, at::kLong, at::kInt})
      same_as_torch(
          op, {type == at::kFloat || type == at::kDouble ? reals(type)
                                                         : ints(type) * 2 + 1});
  for (const char* op :
       {"aten::sqrt", "aten::rsqrt", "aten::log", "aten::log2", "aten::log10",
        "aten::log1p", "aten::special_log1p", "aten::acosh", "aten::arccosh"})
    for (auto type : {at::kFloat, at::kDouble, at::kLong})
      same_as_torch(op, {(reals().abs() + 1).to(type)});
  for (const char* op : {"aten::asin", "aten::arcsin", "aten::acos",
                         "aten::arccos", "aten::atanh", "aten::arctanh"})
    for (auto type : {at::kFloat, at::kDouble})
      same_as_torch(op, {reals(type) / 10});
  same_as_torch("aten::sqrt", {at::scalar_tensor(2.0)});
  CHECK(emitted_nodes("aten::exp", {ints()}) == Nodes{"Cast", "Exp"});
  CHECK(emitted_nodes("aten::tan", {reals(at::kDouble)}) ==
        Nodes{"Cast", "Tan", "Cast"});
  for (const std::string name : {"erfinv", "special_erfinv"})
    CHECK(emit_error("aten::" + name, {reals()}) ==
          "test: aten::" + name +
              ": ONNX has no inverse error function (leave it out of the "
              "exported model)");
}

TEST_CASE("aten: signs and squares") {
  for (const char* op : {"aten::abs", "aten::absolute", "aten::neg",
                         "aten::negative", "aten::sign", "aten::sgn"})
    for (auto type :
         {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kShort, at::kChar})
      same_as_torch(op, {at::isFloatingType(type) ? reals(type) : ints(type)});
  same_as_torch("aten::sign", {bools()});
  for (auto type : {at::kFloat, at::kLong, at::kChar})
    same_as_torch("aten::square", {ints(type)});
  CHECK(emitted_nodes("aten::square", {reals()}) == Nodes{"Mul"});
}

TEST_CASE("aten: rounding") {
  const at::Tensor x = at::tensor(
      {-2.5, -1.5, -0.5, -0.2, 0.5, 1.5, 2.5, 1234.5678}, at::kFloat);
  for (const char* op : {"aten::floor", "aten::ceil", "aten::round",
                         "aten::trunc", "aten::fix", "aten::frac"})
    for (auto type : {at::kFloat, at::kDouble}) same_as_torch(op, {x.to(type)});
  for (const char* op :
       {"aten::floor", "aten::ceil", "aten::round", "aten::trunc"})
    same_as_torch(op, {ints()});
  for (int64_t decimals : {0, 1, 2, -2})
    for (const char* op : {"aten::round.decimals", "aten::special_round"})
      same_as_torch(op, {x, decimals});
  same_as_torch("aten::trunc", {at::tensor({kInf, -kInf, kNaN})});
  CHECK(emitted_nodes("aten::round", {x}) == Nodes{"Round"});
}

TEST_CASE("aten: logit and nan_to_num") {
  const at::Tensor p = at::tensor({0.0f, 0.1f, 0.5f, 0.95f, 1.0f});
  same_as_torch("aten::logit", {p});
  same_as_torch("aten::logit", {p, 0.01});
  same_as_torch("aten::special_logit", {p.to(at::kDouble), 0.2});
  for (auto type : {at::kFloat, at::kDouble}) {
    const at::Tensor odd = at::tensor({kNaN, kInf, -kInf, 1.5}).to(type);
    same_as_torch("aten::nan_to_num", {odd});
    same_as_torch("aten::nan_to_num", {odd, 2.0, 3.0, -4.0});
  }
  same_as_torch("aten::nan_to_num", {ints()});
}

TEST_CASE("aten: larger and smaller of two") {
  const at::Tensor odd = at::tensor({kNaN, 1.0, -2.0, kNaN}, at::kFloat);
  for (const char* op :
       {"aten::maximum", "aten::minimum", "aten::fmax", "aten::fmin"}) {
    same_as_torch(op, {reals(), odd});
    same_as_torch(op, {odd, reals()});
    same_as_torch(op, {reals(at::kDouble), divisors()});
    same_as_torch(op, {ints(), divisors(at::kInt)});
    same_as_torch(op, {ints(at::kByte).abs(), divisors(at::kChar)});
    same_as_torch(op, {bools(), bools().t()});
  }
}

TEST_CASE("aten: blends of several operands") {
  const at::Tensor a = reals(), b = divisors(), c = a.abs() + 1;
  same_as_torch("aten::lerp.Scalar", {a, b.expand({2, 4}), 0.3});
  same_as_torch("aten::lerp.Tensor", {a, c, a});
  same_as_torch("aten::addcmul", {a, b, c});
  same_as_torch("aten::addcmul", {a, b, c, -0.5});
  same_as_torch("aten::addcmul", {ints(), ints(), ints() + 1, 2});
  same_as_torch("aten::addcdiv", {a, b, c});
  same_as_torch("aten::addcdiv", {a, b, c, 2});
  same_as_torch("aten::hypot", {a, b});
  same_as_torch("aten::xlogy.Tensor", {a.abs(), c});
  same_as_torch("aten::xlogy.Scalar_Self", {2, c});
  same_as_torch("aten::special_xlogy.other_scalar", {ints().abs(), 3});
  same_as_torch("aten::xlogy.Tensor",
                {at::zeros({2}), at::tensor({0.0f, 1.0f})});
  const at::Tensor x = at::tensor({1.0, -1.0, 0.0, 0.0, 0.0, 2.0, -2.0});
  const at::Tensor y = at::tensor({1.0, 1.0, 1.0, -1.0, 0.0, -3.0, -3.0});
  for (const char* op : {"aten::atan2", "aten::arctan2"})
    for (auto type : {at::kFloat, at::kDouble, at::kLong})
      same_as_torch(op, {y.to(type), x.to(type)});
  same_as_torch("aten::atan2",
                {at::tensor({0.0f, -0.5f}), at::tensor({-1.0f, -0.0f})});
  same_as_torch("aten::logaddexp", {a, b});
  same_as_torch("aten::logaddexp", {at::tensor({-kInf, kInf, -kInf, 100.0}),
                                    at::tensor({-kInf, kInf, 1.0, 0.0})});
}

TEST_CASE("aten: arithmetic on half-precision numbers") {
  const at::Tensor a = reals().to(at::kHalf), b = divisors().to(at::kHalf);
  const AtenTolerance loose{1e-3, 1e-3};
  for (const char* op : {"aten::add.Tensor", "aten::sub.Tensor",
                         "aten::mul.Tensor", "aten::div.Tensor"}) {
    same_as_torch(op, {a, b}, true, loose);
    same_as_torch(op, {a, reals()}, true, loose);
    same_as_torch(op, {a, at::scalar_tensor(3.0)}, true, loose);
  }
  same_as_torch("aten::add.Scalar", {a, 0.5, 2}, true, loose);
  same_as_torch("aten::neg", {a});
  CHECK(emitted_nodes("aten::add.Tensor", {a, b}) == Nodes{"Add"});
}

TEST_CASE("aten: operators on bits") {
  for (const std::string op :
       {"aten::bitwise_and", "aten::bitwise_or", "aten::bitwise_xor",
        "aten::__and__", "aten::__or__", "aten::__xor__"})
    same_as_torch(op + ".Tensor", {bools(), bools().t()});
  for (auto type : {at::kLong, at::kInt, at::kChar}) {
    for (int64_t mask : {1, 7, 0})
      same_as_torch("aten::bitwise_and.Scalar", {ints(type), mask});
    same_as_torch("aten::bitwise_not", {ints(type)});
  }
  same_as_torch("aten::__and__.Scalar", {ints(), 0xffff});
  same_as_torch("aten::bitwise_and.Scalar_Tensor", {3, ints()});
  same_as_torch("aten::bitwise_and.Scalar", {ints().to(at::kByte), 127});
  same_as_torch("aten::bitwise_not", {bools()});
  same_as_torch("aten::bitwise_not", {ints().abs().to(at::kByte)});
  const at::Tensor shifts = at::tensor({0, 1, 2, 3});
  for (const std::string op :
       {"aten::bitwise_left_shift", "aten::bitwise_right_shift"}) {
    for (auto type : {at::kLong, at::kInt}) {
      same_as_torch(op + ".Tensor", {ints(type), shifts.to(type)});
      same_as_torch(op + ".Tensor_Scalar", {ints(type), 2});
    }
    same_as_torch(op + ".Tensor",
                  {ints().abs().to(at::kByte), shifts.to(at::kByte)});
    same_as_torch(op + ".Scalar_Tensor", {64, shifts});
  }
  same_as_torch("aten::__lshift__.Scalar", {ints(), 3});
  same_as_torch("aten::__rshift__.Tensor", {ints(), shifts});
  CHECK(emitted_nodes("aten::bitwise_and.Scalar", {ints(), 1}) == Nodes{"Mod"});
  const std::string lacks =
      ": its operands are int64, and ONNX opset 17 has bitwise operators for "
      "bool only (use logical operators on bool tensors)";
  CHECK(emit_error("aten::bitwise_and.Tensor", {ints(), ints()}) ==
        "test: aten::bitwise_and" + lacks);
  CHECK(emit_error("aten::bitwise_and.Scalar", {ints(), 6}) ==
        "test: aten::bitwise_and" + lacks);
  CHECK(emit_error("aten::__or__.Scalar", {ints(), 1}) ==
        "test: aten::__or__" + lacks);
  CHECK(emit_error("aten::bitwise_xor.Tensor", {ints(), ints()}) ==
        "test: aten::bitwise_xor" + lacks);
  CHECK(emit_error("aten::__lshift__.Scalar", {reals(), 1}) ==
        "test: aten::__lshift__: its operands are float, expected integers");
}

}  // namespace
}  // namespace lathe::test
