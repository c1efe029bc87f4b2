// Activations beside ONNX Runtime and finite differences.
#include <string>

#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::same_as_runtime;

// On values between -4 and 4: random ones are from 0 to 1.
std::string spread(const std::string& call, const std::string& shape) {
  return "input %u: float[" + shape +
         "] init %half = float[] {0.5} init %eight = float[] {8.0} "
         "%c = Sub(%u, %half) %x = Mul(%c, %eight) %y = " +
         call + " output %y";
}

void same(const std::string& call, int64_t opset = 17,
          const std::string& before = "") {
  same_as_runtime(before + spread(call, "2,3,4,5"), {.opset = opset});
}

void differentiates(const std::string& call, int64_t opset = 17) {
  gradients_agree("input %x: double[2,3,4] %y = " + call + " output %y",
                  {.opset = opset});
}

TEST_CASE("activations without attributes") {
  for (const std::string op :
       {"Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu",
        "HardSigmoid", "Sigmoid", "Tanh", "Softplus", "Softsign", "Erf", "Sign",
        "HardSwish", "Shrink"})
    same(op + "(%x)");
  same("Mish(%x)", 18);
  same("Gelu(%x)", 20);
}

TEST_CASE("activations with attributes") {
  same("LeakyRelu(%x) {alpha = 0.3}");
  same("Elu(%x) {alpha = 0.7}");
  same("Selu(%x) {alpha = 1.3, gamma = 0.8}");
  same("Celu(%x) {alpha = 2.5}");
  same("ThresholdedRelu(%x) {alpha = 0.4}");
  same("HardSigmoid(%x) {alpha = 0.4, beta = 0.1}");
  same("Shrink(%x) {lambd = 0.8}");
  same("Shrink(%x) {lambd = 0.8, bias = 0.3}");
  same("Gelu(%x) {approximate = \"tanh\"}", 20);
  same("Gelu(%x) {approximate = \"none\"}", 20);
}

TEST_CASE("PRelu") {
  same("PRelu(%x, %s)", 17, "input %s: float[3,1,1] ");
  same("PRelu(%x, %s)", 17, "input %s: float[1] ");
  same("PRelu(%x, %s)", 17, "input %s: float[5] ");
  same("PRelu(%x, %s)", 17, "input %s: float[1,3,1,1] ");
  same("PRelu(%x, %s)", 17, "input %s: float[3,4,5] ");
  same("PRelu(%x, %s)", 17, "input %s: float[2,3,4,5] ");
  for (const std::string slope : {"3,1,1", "1", "5", "3,4,5"})
    gradients_agree("input %x: double[2,3,4,5] input %s: double[" + slope +
                    "] %y = PRelu(%x, %s) output %y");
}

TEST_CASE("Clip") {
  const std::string low = "init %low = float[] {-1.5} ",
                    high = "init %high = float[] {2.0} ";
  same("Clip(%x, %low, %high)", 17, low + high);
  same("Clip(%x, %low)", 17, low);
  same("Clip(%x, _, %high)", 17, high);
  same("Clip(%x)");
  same("Clip(%x, %low, %high)", 17,
       "input %low: float[] input %high: float[] ");
  same("Clip(%x) {min = -1.0, max = 0.5}", 10);
  same("Clip(%x) {min = -1.0}", 7);
  same("Clip(%x) {max = 0.5}", 7);
  same("Clip(%x)", 7);
  // max wins.
  same("Clip(%x, %high, %low)", 17, low + high);
  const std::string through =
      "input %a: float[] input %b: float[] init %d = float[] {3.0} "
      "%low = Add(%b, %d) %high = Sub(%a, %d) ";
  same("Clip(%x, %low, %high)", 17, through);
}

TEST_CASE("Clip of integers") {
  for (const std::string type : {"int32", "int64", "int8", "uint8"}) {
    same_as_runtime("input %x: " + type + "[3,4] init %low = " + type +
                    "[] {1} %y = Clip(%x, %low) output %y");
    same_as_runtime("input %x: " + type + "[3,4] input %high: " + type +
                    "[] %y = Clip(%x, _, %high) output %y");
  }
  const int64_t large = (int64_t{1} << 60) + 1;  // not exact in double
  const at::Tensor y = test::run_program(
      "input %x: int64[2] init %high = int64[] {1152921504606846977} "
      "%y = Clip(%x, _, %high) output %y",
      {at::tensor({large + 5, large - 1}, at::kLong)})[0];
  CHECK(at::equal(y, at::tensor({large, large - 1}, at::kLong)));
}

TEST_CASE("activations of integers") {
  same_as_runtime("input %x: int32[3,4] %y = Relu(%x) output %y");
  same_as_runtime("input %x: int64[3,4] %y = Sign(%x) output %y");
  const at::Tensor x = at::arange(-4, 4, at::kInt);
  const at::Tensor y =
      test::run_program("input %x: int32[8] %y = Relu(%x) output %y", {x})[0];
  CHECK((y.scalar_type() == at::kInt));
  CHECK(at::equal(y, at::clamp(x, 0)));
  const at::Tensor shrunk = test::run_program(
      "input %x: int32[8] %y = Shrink(%x) {lambd = 2.0, bias = 1.0} output %y",
      {x})[0];
  CHECK(at::equal(shrunk, at::tensor({-3, -2, 0, 0, 0, 0, 0, 2}, at::kInt)));
}

TEST_CASE("Softplus has the precision of double") {
  const at::Tensor x = at::tensor({-30.0, 0.0, 21.0, 30.0, 100.0}, at::kDouble);
  const at::Tensor y = test::run_program(
      "input %x: double[5] %y = Softplus(%x) output %y", {x})[0];
  CHECK(at::allclose(y, at::logaddexp(x, at::zeros_like(x)), 1e-14, 1e-15));
}

TEST_CASE("Swish") {
  const at::Tensor x = at::randn({4, 5}, at::kDouble);
  auto swish = [&](const std::string& attributes) {
    return test::run_program(
        "input %x: double[4,5] %y = Swish(%x)" + attributes + " output %y", {x},
        24)[0];
  };
  CHECK(at::allclose(swish(""), x * at::sigmoid(x)));
  CHECK(at::allclose(swish(" {alpha = 1.5}"), x * at::sigmoid(x * 1.5)));
}

TEST_CASE("gradients of activations") {
  for (const std::string op :
       {"Relu", "LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu",
        "HardSigmoid", "Sigmoid", "Tanh", "Softplus", "Softsign", "Erf", "Sign",
        "HardSwish", "Shrink", "Clip"})
    differentiates(op + "(%x)");
  differentiates("Celu(%x) {alpha = 2.5}");
  differentiates("Selu(%x) {alpha = 1.3, gamma = 0.8}");
  differentiates("Shrink(%x) {lambd = 0.8, bias = 0.3}");
  differentiates("Mish(%x)", 18);
  differentiates("Gelu(%x)", 20);
  differentiates("Gelu(%x) {approximate = \"tanh\"}", 20);
  gradients_agree(
      "input %x: double[3,4] init %low = double[] {-0.7} "
      "init %high = double[] {0.6} %y = Clip(%x, %low, %high) output %y");
  gradients_agree(
      "input %x: double[3,4] input %high: double[] "
      "%y = Clip(%x, _, %high) output %y");
}

}  // namespace
}  // namespace lathe
