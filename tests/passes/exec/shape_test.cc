// Constants, shapes and element types beside the runtime; tensors between the
// graph and LibTorch.
// clang-format off: LibTorch has a CHECK as well, doctest's must come later
#include "tests/passes/exec/exec_fixtures.h"
// clang-format on

#include <cmath>
#include <limits>

#include "passes/base/error.h"
#include "passes/exec/operator_kernel.h"

namespace lathe {
namespace {

using ir::DataType;
using test::gradients_agree;
using test::run_program;
using test::same_as_runtime;

bool round_trips(const ir::Tensor& tensor) {
  const at::Tensor held = exec::to_torch(tensor);
  return held.sizes().vec() == tensor.dims() &&
         held.scalar_type() == exec::scalar_type(tensor.type()) &&
         held.data_ptr() != static_cast<const void*>(tensor.bytes().data()) &&
         exec::from_torch(held, tensor.type()).identical(tensor);
}

TEST_CASE("tensors come back as they went") {
  const std::vector<double> values = {-2, -1, 0, 1, 0, 1};
  for (DataType type :
       {DataType::kFloat, DataType::kDouble, DataType::kFloat16,
        DataType::kBfloat16, DataType::kInt8, DataType::kInt16,
        DataType::kInt32, DataType::kInt64, DataType::kUint8, DataType::kUint16,
        DataType::kUint32, DataType::kUint64, DataType::kBool, DataType::kInt4,
        DataType::kUint4, DataType::kInt2, DataType::kUint2}) {
    CAPTURE(ir::to_string(type));
    CHECK(round_trips(ir::Tensor::from_doubles(type, {2, 3}, values)));
    CHECK(round_trips(ir::Tensor::from_doubles(
        type, {}, std::span<const double>(values).last(1))));
    CHECK(round_trips(
        ir::Tensor::from_doubles(type, {5}, std::span(values).first(5))));
    CHECK(exec::to_torch(ir::Tensor::zeros(type, {2, 0})).numel() == 0);
  }
}

TEST_CASE("integers come back whole") {
  constexpr int64_t kPast = (int64_t{1} << 53) + 1;
  CHECK(round_trips(
      ir::Tensor::vector_i64({std::numeric_limits<int64_t>::min(), kPast,
                              std::numeric_limits<int64_t>::max()})));
  CHECK(round_trips(ir::Tensor::from<uint64_t>(
      {2}, {uint64_t{0xffffffffffffffff}, uint64_t{kPast}})));
  CHECK(round_trips(ir::Tensor::from<uint32_t>({2}, {0xffffffffu, 1u})));
  CHECK(round_trips(ir::Tensor::from<uint16_t>({2}, {uint16_t{65535}, 1})));
}

TEST_CASE("every number of eight bits comes back") {
  for (DataType type : {DataType::kFloat8E4M3FN, DataType::kFloat8E4M3FNUZ,
                        DataType::kFloat8E5M2, DataType::kFloat8E5M2FNUZ}) {
    CAPTURE(ir::to_string(type));
    std::vector<std::byte> codes;
    for (int code = 0; code < 256; ++code)
      codes.push_back(static_cast<std::byte>(code));
    const ir::Tensor all(type, {256}, ir::Bytes::copy_of(codes));
    const at::Tensor held = exec::to_torch(all);
    const ir::Tensor back = exec::from_torch(held, type);
    int nans = 0;
    for (int code = 0; code < 256; ++code) {
      if (std::isnan(held[code].item<float>()))
        ++nans;  // written as one of them
      else
        CHECK(back.bytes()[static_cast<size_t>(code)] ==
              static_cast<std::byte>(code));
    }
    CHECK(nans == (type == DataType::kFloat8E5M2     ? 6
                   : type == DataType::kFloat8E4M3FN ? 2
                                                     : 1));
    CHECK(std::isnan(
        exec::to_torch(exec::from_torch(at::full({1}, std::nan("")), type))
            .item<float>()));
  }
}

TEST_CASE("a tensor is made of another type") {
  const at::Tensor x = at::tensor({-1.5, 2.5, 300.0}, at::kDouble);
  const auto bytes = exec::from_torch(x, DataType::kUint8).to_int64s();
  CHECK(bytes == std::vector<int64_t>{0, 2, 255});
  CHECK(exec::from_torch(x, DataType::kFloat).to_doubles() ==
        std::vector<double>{-1.5, 2.5, 300.0});
  const at::Tensor view = at::arange(6, at::kInt).reshape({2, 3}).t();
  CHECK(exec::from_torch(view, DataType::kInt32).to_int64s() ==
        std::vector<int64_t>{0, 3, 1, 4, 2, 5});
}

TEST_CASE("types that LibTorch lacks are named") {
  CHECK_THROWS_AS(
      exec::to_torch(ir::Tensor({1}, std::vector<std::string>{"a"})), Error);
  CHECK_THROWS_AS(exec::scalar_type(DataType::kComplex64), Error);
}

TEST_CASE("a bool of any byte is true") {
  const std::vector<std::byte> bytes = {std::byte{2}, std::byte{0}};
  const at::Tensor held = exec::to_torch(
      ir::Tensor(DataType::kBool, {2}, ir::Bytes::copy_of(bytes)));
  CHECK(held.sum().item<int64_t>() == 1);
}

TEST_CASE("constants") {
  for (const char* value :
       {"value = float[2] {1.5, 2.0}", "value = float[] {3.0}",
        "value_float = 2.5", "value_floats = [1.0, 2.0]"})
    same_as_runtime("input %x: float[3,2] %c = Constant() {" +
                    std::string(value) + "} %y = Add(%x, %c) output %y");
  for (const char* value :
       {"value = int64[2] {4, 5}", "value_int = 7", "value_ints = [8, 9]"})
    same_as_runtime("input %x: int64[3,2] %c = Constant() {" +
                    std::string(value) + "} %y = Add(%x, %c) output %y");
  CHECK_THROWS_AS(
      run_program(
          "input %x: float[1] %c = Constant() {value_string = \"a\"} %y "
          "= Identity(%x) output %y output %c",
          {at::ones({1})}),
      Error);
}

TEST_CASE("constants of a shape") {
  for (const char* attributes :
       {"", "{value = float[1] {2.5}}", "{value = int64[1] {7}}",
        "{value = bool[1] {1}}"})
    for (const char* shape : {"int64[2] {2, 3}", "int64[0] {}"})
      same_as_runtime("input %x: int64[2] init %s = " + std::string(shape) +
                      " %c = ConstantOfShape(%s) " + attributes +
                      " %f = Cast(%c) {to = 1} %y = Identity(%f) output %y "
                      "output %c %z = Identity(%x) output %z");
  same_as_runtime(
      "input %x: float[2,3] %s = Shape(%x) %y = ConstantOfShape(%s) output %y");
}

TEST_CASE("shapes and sizes") {
  for (const char* attributes :
       {"", "{start = 1}", "{end = 2}", "{start = -2, end = -1}",
        "{start = 2, end = 1}", "{start = -9, end = 9}"})
    same_as_runtime("input %x: float[2,3,4] %y = Shape(%x) " +
                    std::string(attributes) + " output %y");
  same_as_runtime("input %x: float[2,3,4] %y = Size(%x) output %y");
  same_as_runtime(
      "input %x: float[] %y = Shape(%x) %z = Size(%x) output %y "
      "output %z");
}

TEST_CASE("reshape and flatten") {
  for (const char* shape :
       {"int64[2] {6, 4}", "int64[2] {-1, 4}", "int64[3] {0, -1, 2}",
        "int64[1] {-1}", "int64[4] {0, 0, 2, 2}"})
    same_as_runtime("input %x: float[2,3,4] init %s = " + std::string(shape) +
                    " %y = Reshape(%x, %s) output %y");
  same_as_runtime(
      "input %x: float[2,6] input %t: float[3,4] %s = Shape(%t) %y = "
      "Reshape(%x, %s) output %y");
  const auto empty = run_program(
      "input %x: float[0,3] init %s = int64[2] {3, 0} %y = Reshape(%x, %s) "
      "{allowzero = 1} output %y",
      {at::zeros({0, 3})});
  CHECK(empty[0].sizes().vec() == std::vector<int64_t>{3, 0});
  for (const char* axis : {"0", "1", "2", "3", "-1", "-3"})
    same_as_runtime("input %x: float[2,3,4] %y = Flatten(%x) {axis = " +
                    std::string(axis) + "} output %y");
  same_as_runtime("input %x: float[2,3,4] %y = Flatten(%x) output %y");
  same_as_runtime("input %x: float[] %y = Flatten(%x) {axis = 0} output %y");
}

TEST_CASE("axes of one element come and go") {
  for (const char* axes : {"0", "-1, 2", "0, 2, 4"}) {
    const std::string list = axes;
    same_as_runtime("input %x: float[1,3,1,4,1] %y = Squeeze(%x) {axes = [" +
                        list + "]} output %y",
                    {.opset = 11});
    same_as_runtime("input %x: float[3,4] %y = Unsqueeze(%x) {axes = [" + list +
                        "]} output %y",
                    {.opset = 11});
    const std::string init = " init %a = int64[" +
                             std::string(list == "0"       ? "1"
                                         : list == "-1, 2" ? "2"
                                                           : "3") +
                             "] {" + list + "} ";
    same_as_runtime("input %x: float[1,3,1,4,1]" + init +
                    "%y = Squeeze(%x, %a) output %y");
    same_as_runtime("input %x: float[3,4]" + init +
                    "%y = Unsqueeze(%x, %a) output %y");
  }
  same_as_runtime("input %x: float[1,3,1,4] %y = Squeeze(%x) output %y");
  CHECK_THROWS_AS(run_program("input %x: float[N,2] init %a = int64[1] {0} %y "
                              "= Squeeze(%x, %a) output %y",
                              {at::ones({3, 2})}),
                  Error);
}

TEST_CASE("casts") {
  // From a float in [-5, 5) or an integer, to every type.
  const std::string floats =
      "input %x0: float[40] init %f = float[] {10.0} init %h = float[] {5.0} "
      "%x1 = Mul(%x0, %f) %x = Sub(%x1, %h) ";
  for (int to : {1, 3, 5, 6, 7, 9, 10, 11})
    same_as_runtime(floats + "%y = Cast(%x) {to = " + std::to_string(to) +
                    "} output %y");
  for (int to : {2, 4, 12, 13, 16})
    same_as_runtime(floats + "%p = Abs(%x) %y = Cast(%p) {to = " +
                    std::to_string(to) + "} output %y");
  for (const char* from : {"int64", "int32", "uint8", "double", "bool",
                           "float16", "uint16", "uint32"})
    for (int to : {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13})
      same_as_runtime("input %x: " + std::string(from) +
                      "[2,3] %y = Cast(%x) {to = " + std::to_string(to) +
                      "} output %y");
  same_as_runtime(
      "input %x: int64[3] init %c = int64[3] {-1, 70000, 300} %s = Add(%x, %c) "
      "%y = Cast(%s) {to = 4} %z = Cast(%s) {to = 2} %w = Cast(%s) {to = 12} "
      "output %y output %z output %w");
  same_as_runtime(
      "input %x: float[3] input %t: int32[1] %y = CastLike(%x, %t) output %y");
}

TEST_CASE("casts to types that are held wider") {
  const at::Tensor whole = at::tensor({9, -9, 20}, at::kInt);
  auto cast = [](const char* from, int to, const at::Tensor& x) {
    return exec::doubles(run_program("input %x: " + std::string(from) +
                                         "[3] %y = Cast(%x) {to = " +
                                         std::to_string(to) + "} output %y",
                                     {x}, 21)
                             .at(0));
  };
  using Numbers = std::vector<double>;
  CHECK(cast("int32", 22, whole) == Numbers{-7, 7, 4});
  CHECK(cast("int32", 21, whole) == Numbers{9, 7, 4});
  const at::Tensor real = at::tensor({0.3, -1000.0, 1e6}, at::kFloat);
  CHECK(cast("float", 17, real) == Numbers{0.3125, -448, 448});
  CHECK(cast("float", 18, real) == Numbers{0.3125, -240, 240});
  CHECK(cast("float", 19, real) == Numbers{0.3125, -1024, 57344});
  CHECK(cast("float", 20, real) == Numbers{0.3125, -1024, 57344});
  CHECK_THROWS_AS(run_program("input %x: float[1] %y = Cast(%x) {to = 8} "
                              "output %y",
                              {at::ones({1})}),
                  Error);
}

TEST_CASE("ranges") {
  struct Ends {
    std::string limit, delta;
  };
  auto check = [](const std::string& type, const Ends& ends) {
    same_as_runtime("input %s: " + type + "[] init %l = " + type + "[] {" +
                    ends.limit + "} init %d = " + type + "[] {" + ends.delta +
                    "} %y = Range(%s, %l, %d) output %y");
  };
  for (const std::string type : {"float", "double"})
    for (const Ends& ends : {Ends{"5.0", "0.7"},
                             {"-3.0", "-0.5"},
                             {"-3.0", "1.0"},
                             {"4.0", "1.0"}})
      check(type, ends);
  for (const std::string type : {"int16", "int32", "int64"})
    for (const Ends& ends :
         {Ends{"7", "3"}, {"-7", "-2"}, {"-7", "1"}, {"6", "1"}})
      check(type, ends);
}

TEST_CASE("diagonals") {
  for (const char* attributes :
       {"", "{k = 1}", "{k = -2}", "{dtype = 7}", "{dtype = 11, k = 9}"})
    same_as_runtime("input %x: float[3,4] %y = EyeLike(%x) " +
                    std::string(attributes) + " output %y");
}

TEST_CASE("expand, tile and transpose") {
  for (const char* shape : {"int64[3] {2, 3, 4}", "int64[1] {4}",
                            "int64[2] {1, 1}", "int64[4] {5, 1, 3, 1}"})
    same_as_runtime("input %x: float[3,1] init %s = " + std::string(shape) +
                    " %y = Expand(%x, %s) output %y");
  for (const char* repeats : {"{2, 3}", "{1, 1}", "{1, 4}"})
    for (const char* type : {"float", "int64", "bool"})
      same_as_runtime("input %x: " + std::string(type) +
                      "[2,3] init %r = int64[2] " + repeats +
                      " %y = Tile(%x, %r) output %y");
  for (const char* perm :
       {"", "{perm = [0, 2, 1]}", "{perm = [2, 0, 1]}", "{perm = [0, 1, 2]}"})
    for (const char* type : {"float", "int32", "uint8"})
      same_as_runtime("input %x: " + std::string(type) +
                      "[2,3,4] %y = Transpose(%x) " + perm + " output %y");
  same_as_runtime("input %x: float[2,3] %y = Identity(%x) output %y");
}

TEST_CASE("gradients pass through shapes") {
  gradients_agree(
      "input %x: double[2,3] init %s = int64[1] {-1} %y = Reshape(%x, %s) "
      "output %y");
  gradients_agree("input %x: double[2,3,2] %y = Flatten(%x) output %y");
  gradients_agree("input %x: double[2,3] %y = Transpose(%x) output %y");
  gradients_agree(
      "input %x: double[3,1] init %s = int64[3] {2, 1, 4} %y = Expand(%x, %s) "
      "output %y");
  gradients_agree(
      "input %x: double[2,3] init %r = int64[2] {2, 2} %y = Tile(%x, %r) "
      "output %y");
  gradients_agree(
      "input %x: double[1,3] init %a = int64[1] {0} %s = Squeeze(%x, %a) %y = "
      "Unsqueeze(%s, %a) output %y");
}

const char* const kAround =
    "init %k = float[14] {-1e9, -448.0, -464.0, -465.0, -8.5, -2.5, -0.4, 0.5, "
    "1.5, 7.6, 15.5, 248.0, 70000.0, 57345.0} input %u: float[14] "
    "init %z = float[] {0.0} %v = Mul(%u, %z) %x = Add(%k, %v) ";

TEST_CASE("casts to eight bits, saturated or not") {
  for (const char* type : {"17", "18", "19", "20"})
    for (const char* saturate : {"0", "1"})
      same_as_runtime(std::string(kAround) + "%y = Cast(%x) {to = " + type +
                          ", saturate = " + saturate + "} output %y",
                      {.opset = 19});
}

TEST_CASE("casts of floats to four bits round and saturate") {
  const at::Tensor x =
      at::tensor({-20.0f, -8.6f, -2.5f, -0.4f, 0.5f, 1.5f, 7.6f, 14.6f, 20.0f});
  const auto y = run_program(
      "input %x: float[9] %a = Cast(%x) {to = 22} %b = Cast(%x) {to = 21} "
      "output %a output %b",
      {x}, 21);
  CHECK(at::equal(y[0].to(at::kInt),
                  at::tensor({-8, -8, -2, 0, 0, 2, 7, 7, 7}, at::kInt)));
  CHECK(at::equal(y[1].to(at::kInt),
                  at::tensor({0, 0, 0, 0, 0, 2, 8, 15, 15}, at::kInt)));
}

}  // namespace
}  // namespace lathe
