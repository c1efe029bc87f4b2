// Matrix products beside the runtime, their gradients beside differences.
// clang-format off: LibTorch has a CHECK as well, doctest's must come later
#include "tests/passes/exec/exec_fixtures.h"
// clang-format on

namespace lathe {
namespace {

using test::gradients_agree;
using test::run_program;
using test::same_as_runtime;

struct Shapes {
  std::string a, b;
};

const Shapes kMatMul[] = {
    {"3,4", "4,5"},       {"2,3,4", "4,5"}, {"2,3,4", "2,4,5"},
    {"6,2,3,4", "2,4,5"}, {"3,4", "2,4,5"}, {"2,1,3,4", "1,3,4,5"},
    {"4", "4,5"},         {"3,4", "4"},     {"4", "4"},
    {"4", "2,4,5"},       {"2,3,4", "4"},
};

TEST_CASE("matrix products") {
  for (const char* type : {"float", "double", "int32", "int64"})
    for (const Shapes& shapes : kMatMul)
      same_as_runtime("input %a: " + std::string(type) + "[" + shapes.a +
                      "] input %b: " + type + "[" + shapes.b +
                      "] %y = MatMul(%a, %b) output %y");
}

TEST_CASE("gradients of matrix products") {
  for (const Shapes& shapes : kMatMul)
    gradients_agree("input %a: double[" + shapes.a + "] input %b: double[" +
                    shapes.b + "] %y = MatMul(%a, %b) output %y");
}

TEST_CASE("a product in half precision") {
  const at::Tensor x = at::ones({2, 2}, at::kHalf);
  const auto y = run_program(
      "input %a: float16[2,2] input %b: float16[2,2] %y = MatMul(%a, %b) "
      "output %y",
      {x, x});
  CHECK((y[0].scalar_type() == at::kHalf));
  CHECK(y[0][0][0].item<float>() == 2.0f);
}

// a is 3x4, b is 4x5, as the transpositions have it.
std::string gemm_body(const std::string& type, int trans_a, int trans_b,
                      const std::string& c, const std::string& factors) {
  const bool none = c == "none";
  return "input %a: " + type + (trans_a ? "[4,3]" : "[3,4]") +
         " input %b: " + type + (trans_b ? "[5,4]" : "[4,5]") +
         (none ? "" : " input %c: " + type + "[" + c + "]") + " %y = Gemm(" +
         (none ? "%a, %b" : "%a, %b, %c") +
         ") {transA = " + std::to_string(trans_a) +
         ", transB = " + std::to_string(trans_b) + factors + "} output %y";
}

TEST_CASE("general products") {
  for (const char* factors : {"", ", alpha = 0.5", ", beta = 2.0",
                              ", alpha = 2.0, beta = 0.25", ", beta = 0.0"})
    for (const char* c : {"none", "5", "1,5", "3,1", "3,5", "1", ""})
      for (int trans_a : {0, 1})
        for (int trans_b : {0, 1})
          same_as_runtime(gemm_body("float", trans_a, trans_b, c, factors));
  same_as_runtime(gemm_body("double", 1, 1, "5", ", alpha = 0.5"));
}

TEST_CASE("gradients of general products") {
  for (const char* factors : {"", ", alpha = 0.5, beta = 2.0"})
    for (const char* c : {"none", "5", "3,1", "3,5", ""})
      gradients_agree(gemm_body("double", 1, 0, c, factors));
}

struct Equation {
  std::string text, a, b;
};

const Equation kEquations[] = {
    {"ij,jk->ik", "2,3", "3,4"},
    {"ij,jk", "2,3", "3,4"},
    {" bij , bjk -> bik ", "2,3,4", "2,4,5"},
    {"Bij,Bkj->Bik", "2,3,4", "2,5,4"},
    {"...ij,...jk->...ik", "2,3,4", "2,4,5"},
    {"bqhd,bkhd->bhqk", "2,3,2,4", "2,5,2,4"},
    {"i,j->ij", "3", "4"},
    {"i,i->", "3", "3"},
    {"ij,ij->j", "3,2", "3,2"},
    {"...,...->...", "2,3", "2,3"},
};

TEST_CASE("sums by an equation") {
  for (const char* type : {"float", "double", "int32", "int64"})
    for (const Equation& row : kEquations)
      same_as_runtime("input %a: " + std::string(type) + "[" + row.a +
                      "] input %b: " + type + "[" + row.b +
                      "] %y = Einsum(%a, %b) {equation = \"" + row.text +
                      "\"} output %y");
  for (const char* equation : {"ij->ji", "ij->i", "ij->", "ii->i", "ii->"})
    for (const char* type : {"float", "int32"})
      same_as_runtime("input %a: " + std::string(type) +
                      "[3,3] %y = Einsum(%a) {equation = \"" + equation +
                      "\"} output %y");
  same_as_runtime(
      "input %a: float[2,3] input %b: float[3,4] input %c: float[4] %y = "
      "Einsum(%a, %b, %c) {equation = \"ij,jk,k->i\"} output %y");
}

TEST_CASE("an ellipsis broadcasts") {
  const at::Tensor a = at::arange(24, at::kFloat).reshape({2, 1, 3, 4});
  const at::Tensor b = at::arange(60, at::kFloat).reshape({3, 4, 5});
  const auto y = run_program(
      "input %a: float[2,1,3,4] input %b: float[3,4,5] %y = Einsum(%a, %b) "
      "{equation = \"...ij,...jk->...ik\"} output %y",
      {a, b});
  CHECK(at::allclose(y[0], at::matmul(a, b)));
}

TEST_CASE("gradients of sums by an equation") {
  for (const Equation& row : kEquations)
    gradients_agree("input %a: double[" + row.a + "] input %b: double[" +
                    row.b + "] %y = Einsum(%a, %b) {equation = \"" + row.text +
                    "\"} output %y");
}

TEST_CASE("integer products are exact") {
  for (const char* zeros :
       {"", ", %za", ", %za, %zb", ", %za, %zc", ", _, %zb"})
    same_as_runtime(
        "input %a: uint8[3,4] init %b = int8[4,2] {-128, 127, 5, -7, 100, "
        "-100, "
        "3, 1} init %za = uint8[] {3} init %zb = int8[] {-2} init %zc = "
        "int8[2] "
        "{-2, 5} %y = MatMulInteger(%a, %b" +
        std::string(zeros) + ") output %y");
  same_as_runtime(
      "input %a: uint8[2,3,4] init %b = uint8[4,2] {255, 1, 2, 3, 4, 5, 6, 7} "
      "%y = MatMulInteger(%a, %b) output %y");
  // Beyond what float holds.
  const auto large = run_program(
      "input %a: uint8[1,9001] input %b: uint8[9001,1] %y = "
      "MatMulInteger(%a, %b) output %y",
      {at::full({1, 9001}, 255, at::kByte),
       at::full({9001, 1}, 255, at::kByte)});
  CHECK((large[0].scalar_type() == at::kInt));
  CHECK(large[0].item<int64_t>() == int64_t{9001} * 255 * 255);
  // A zero point a row.
  const auto rows = run_program(
      "input %a: uint8[2,2] input %b: int8[2,1] init %z = uint8[2] "
      "{1, 2} %y = MatMulInteger(%a, %b, %z) output %y",
      {at::full({2, 2}, 5, at::kByte), at::ones({2, 1}, at::kChar)});
  CHECK(rows[0][0][0].item<int64_t>() == 8);
  CHECK(rows[0][1][0].item<int64_t>() == 6);
}

TEST_CASE("determinants") {
  for (const char* shape : {"1,1", "3,3", "2,4,4", "2,3,2,2"})
    same_as_runtime("input %a: float[" + std::string(shape) +
                    "] %y = Det(%a) output %y");
  gradients_agree("input %a: double[2,3,3] %y = Det(%a) output %y");
}

}  // namespace
}  // namespace lathe
