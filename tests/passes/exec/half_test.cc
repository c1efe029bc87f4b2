// Half precision on the CPU, which LibTorch computes few functions in.
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

TEST_CASE("functions in half precision") {
  for (const char* call :
       {"Softplus(%x)", "Softmax(%x)", "Sigmoid(%x)", "Tanh(%x)", "Erf(%x)",
        "ReduceMean(%x) {axes = [1]}", "ReduceL2(%x)", "HardSwish(%x)",
        "LeakyRelu(%x)", "CumSum(%x, %a)", "Sqrt(%x)", "Pow(%x, %x)",
        "Trilu(%x)", "Gemm(%x, %x) {transB = 1}", "MatMul(%x, %t)",
        "Einsum(%x, %x) {equation = \"ij,kj->ik\"}", "LogSoftmax(%x)"}) {
    same_as_runtime(std::string("input %x: float16[3,4] init %a = int64[] {1} "
                                "%t = Transpose(%x) %y = ") +
                        call + " output %y",
                    {.opset = 17, .tolerance = 2e-3, .seed = 1});
  }
  for (const char* call :
       {"Conv(%x, %w)", "AveragePool(%x) {kernel_shape = [2,2]}",
        "MaxPool(%x) {kernel_shape = [2,2]}", "GlobalAveragePool(%x)",
        "InstanceNormalization(%x, %s, %s)",
        "Resize(%x, _, %f) {mode = \"linear\"}"})
    same_as_runtime(std::string("input %x: float16[2,3,4,4] "
                                "input %w: float16[2,3,2,2] "
                                "input %s: float16[3] "
                                "init %f = float[4] {1.0, 1.0, 2.0, 2.0} "
                                "%y = ") +
                        call + " output %y",
                    {.opset = 17, .tolerance = 4e-3, .seed = 1});
}

TEST_CASE("bfloat16 and half come out as they go in") {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    const std::string name = type == at::kHalf ? "float16" : "bfloat16";
    const at::Tensor x = at::rand({2, 3}).to(type);
    const auto outputs =
        run_program("input %x: " + name + "[2,3] input %s: " + name +
                        "[3] %a = Softplus(%x) %b = Transpose(%x) "
                        "%m = LayerNormalization(%x, %s) output %a output %b "
                        "output %m",
                    {x, at::ones({3}, type)});
    for (const at::Tensor& output : outputs)
      CHECK((output.scalar_type() == type));
    CHECK(at::equal(outputs[0], at::softplus(x.to(at::kFloat)).to(type)));
  }
}

TEST_CASE("gradients go through half precision") {
  at::Tensor x = at::ones({2, 3}, at::kHalf);
  x.set_requires_grad(true);
  run_program("input %x: float16[2,3] %y = Exp(%x) output %y", {x})[0]
      .sum()
      .backward();
  CHECK((x.grad().scalar_type() == at::kHalf));
  CHECK(x.grad()[0][0].item<float>() == doctest::Approx(2.718).epsilon(1e-3));
}

}  // namespace
}  // namespace lathe::test
