// Normalizations, softmax and dropout beside ONNX Runtime, formulas and finite
// differences.
#include <string>

#include "passes/base/error.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using test::gradients_agree;
using test::run_program;
using test::same_as_runtime;

std::string batch_norm(const std::string& shape, const std::string& channels,
                       const std::string& attributes,
                       const std::string& type = "float") {
  std::string text = "input %x: " + type + "[" + shape + "] ";
  for (const std::string name : {"s", "b", "m"})
    text += "input %" + name + ": " + type + "[" + channels + "] ";
  // A variance is positive.
  text += "input %q: " + type + "[" + channels + "] %v = Mul(%q, %q) ";
  return text + "%y = BatchNormalization(%x, %s, %b, %m, %v) {" + attributes +
         "} output %y";
}

TEST_CASE("BatchNormalization in evaluation") {
  same_as_runtime(batch_norm("2,3,4,5", "3", "epsilon = 0.001"));
  same_as_runtime(batch_norm("2,3,4", "3", "epsilon = 0.01"));
  same_as_runtime(batch_norm("4,3", "3", "epsilon = 0.01"));
  same_as_runtime(batch_norm("2,3,2,3,4", "3", "epsilon = 0.01"));
  same_as_runtime(batch_norm("2,3,4,5", "3", "epsilon = 0.01"), {.opset = 9});
  gradients_agree(batch_norm("2,3,2,2", "3", "epsilon = 0.01", "double"));
}

TEST_CASE("BatchNormalization with training_mode") {
  const std::string body =
      "input %x: double[3,2,4] input %s: double[2] input %b: double[2] "
      "input %m: double[2] input %v: double[2] "
      "%y, %rm, %rv = BatchNormalization(%x, %s, %b, %m, %v) "
      "{training_mode = 1, momentum = 0.8, epsilon = 0.01} "
      "output %y output %rm output %rv";
  const at::Tensor x = at::randn({3, 2, 4}, at::kDouble);
  const at::Tensor s = at::randn({2}, at::kDouble);
  const at::Tensor b = at::randn({2}, at::kDouble);
  const at::Tensor m = at::randn({2}, at::kDouble);
  const at::Tensor v = at::rand({2}, at::kDouble) + 0.5;
  const at::Tensor kept_m = m.clone(), kept_v = v.clone();
  const auto got = run_program(body, {x, s, b, m, v});
  const at::Tensor mean = x.mean(at::IntArrayRef{0, 2});
  const at::Tensor variance = x.var(at::IntArrayRef{0, 2}, /*unbiased=*/false);
  auto wide = [](const at::Tensor& t) { return t.reshape({1, 2, 1}); };
  REQUIRE(got.size() == 3);
  CHECK(at::allclose(
      got[0],
      (x - wide(mean)) / (wide(variance) + 0.01f).sqrt() * wide(s) + wide(b)));
  CHECK(at::allclose(got[1], m * 0.8f + mean * (1 - 0.8f)));
  CHECK(at::allclose(got[2], v * 0.8f + variance * (1 - 0.8f)));
  CHECK(at::equal(m, kept_m));
  CHECK(at::equal(v, kept_v));
}

TEST_CASE("gradients of BatchNormalization over the batch") {
  gradients_agree(
      "input %x: double[3,2,3] input %s: double[2] input %b: double[2] "
      "init %m = double[2] {0.0, 0.5} init %v = double[2] {1.0, 2.0} "
      "%y = BatchNormalization(%x, %s, %b, %m, %v) "
      "{training_mode = 1, epsilon = 0.01} output %y");
}

TEST_CASE("BatchNormalization updates its statistics in training") {
  const ir::Model model = test::exec_model(
      "input %x: float[4,2,3] init %s = float[2] {1.5, -1.0} "
      "init %b = float[2] {0.5, 0.25} init %m = float[2] {0.1, 0.2} "
      "init %v = float[2] {1.0, 2.0} "
      "%y = BatchNormalization(%x, %s, %b, %m, %v) {momentum = 0.7} output %y");
  const auto program = exec::Program::compile(model);
  const at::Tensor x = at::randn({4, 2, 3});
  const at::Tensor s = at::tensor({1.5f, -1.0f}).reshape({2, 1});
  const at::Tensor b = at::tensor({0.5f, 0.25f}).reshape({2, 1});
  at::Tensor m = at::tensor({0.1f, 0.2f}), v = at::tensor({1.0f, 2.0f});
  auto expected = [&](const at::Tensor& mean, const at::Tensor& variance) {
    return (x - mean.reshape({2, 1})) /
               (variance.reshape({2, 1}) + 1e-5).sqrt() * s +
           b;
  };
  auto buffer = [&](const std::string& name) {
    for (const auto& one : program->buffers())
      if (one.name == name) return one.tensor;
    FAIL("no buffer " << name);
    return at::Tensor();
  };
  CHECK(at::allclose(program->run({{"x", x}})[0], expected(m, v), 1e-4, 1e-5));
  CHECK(at::equal(buffer("m"), m));
  program->set_training(true);
  const at::Tensor mean = x.mean(at::IntArrayRef{0, 2});
  for (int i = 0; i < 2; ++i) {
    const at::Tensor y = program->run({{"x", x}})[0];
    CHECK(at::allclose(
        y, expected(mean, x.var(at::IntArrayRef{0, 2}, /*unbiased=*/false)),
        1e-4, 1e-5));
    m = m * 0.7 + mean * 0.3;
    v = v * 0.7 + x.var(at::IntArrayRef{0, 2}, /*unbiased=*/true) * 0.3;
    CHECK(at::allclose(buffer("m"), m, 1e-4, 1e-5));
    CHECK(at::allclose(buffer("v"), v, 1e-4, 1e-5));
  }
  program->set_training(false);
  CHECK(at::allclose(program->run({{"x", x}})[0], expected(m, v), 1e-4, 1e-5));
}

TEST_CASE("InstanceNormalization") {
  auto body = [](const std::string& type, const std::string& shape) {
    return "input %x: " + type + "[" + shape + "] input %s: " + type +
           "[3] input %b: " + type +
           "[3] %y = InstanceNormalization(%x, %s, %b) {epsilon = 0.01} "
           "output %y";
  };
  same_as_runtime(body("float", "2,3,4,5"));
  same_as_runtime(body("float", "2,3,9"));
  same_as_runtime(body("float", "2,3,2,3,4"));
  gradients_agree(body("double", "2,3,2,3"));
}

TEST_CASE("LayerNormalization") {
  auto body = [](const std::string& scale, const std::string& attributes,
                 const std::string& type = "float") {
    return "input %x: " + type + "[2,3,4,5] input %s: " + type + "[" + scale +
           "] input %b: " + type + "[" + scale +
           "] %y = LayerNormalization(%x, %s, %b) {" + attributes +
           "} output %y";
  };
  same_as_runtime(body("5", "axis = -1"));
  same_as_runtime(body("5", "epsilon = 0.01"));
  same_as_runtime(body("4,5", "axis = 2"));
  same_as_runtime(body("3,4,5", "axis = -3, epsilon = 0.001"));
  same_as_runtime(
      "input %x: float[2,6] input %s: float[6] "
      "%y = LayerNormalization(%x, %s) output %y");
  same_as_runtime(
      "input %x: float[2,3,6] input %s: float[3,6] "
      "%y, %m, %i = LayerNormalization(%x, %s) {axis = 1} "
      "output %y output %m output %i");
  gradients_agree(body("5", "axis = -1", "double"));
  gradients_agree(body("4,1", "axis = 2, epsilon = 0.1", "double"));
  gradients_agree(
      "input %x: double[2,6] input %s: double[6] "
      "%y, %m, %i = LayerNormalization(%x, %s) {stash_type = 11} "
      "output %y output %m output %i");
}

TEST_CASE("GroupNormalization") {
  auto body = [](const std::string& scale, const std::string& type) {
    return "input %x: " + type + "[2,6,3,4] input %s: " + type + "[" + scale +
           "] input %b: " + type + "[" + scale +
           "] %y = GroupNormalization(%x, %s, %b) {num_groups = 3, "
           "epsilon = 0.01} output %y";
  };
  // The runtime refuses opset 18's form as deprecated.
  const at::Tensor x = at::randn({2, 6, 3, 4}, at::kDouble);
  const at::Tensor s = at::randn({3}, at::kDouble);
  const at::Tensor b = at::randn({3}, at::kDouble);
  CHECK(at::allclose(run_program(body("3", "double"), {x, s, b}, 18)[0],
                     at::group_norm(x, 3, at::repeat_interleave(s, 2),
                                    at::repeat_interleave(b, 2), 0.01f)));
  same_as_runtime(body("6", "float"), {.opset = 21});
  gradients_agree(body("3", "double"), {.opset = 18});
  gradients_agree(body("6", "double"), {.opset = 21});
}

TEST_CASE("RMSNormalization") {
  const std::string body =
      "input %x: double[2,3,4] input %s: double[3,4] "
      "%y = RMSNormalization(%x, %s) {axis = 1, epsilon = 0.01} output %y";
  const at::Tensor x = at::randn({2, 3, 4}, at::kDouble);
  const at::Tensor s = at::randn({3, 4}, at::kDouble);
  const at::Tensor y = run_program(body, {x, s}, 23)[0];
  const at::Tensor power =
      (x * x).mean(at::IntArrayRef{1, 2}, /*keepdim=*/true);
  CHECK(at::allclose(y, x / (power + 0.01f).sqrt() * s));
  gradients_agree(body, {.opset = 23});
}

TEST_CASE("LRN") {
  for (const std::string size : {"1", "3", "5"})
    same_as_runtime("input %x: float[2,6,4,5] %y = LRN(%x) {size = " + size +
                    ", alpha = 0.3, beta = 0.6, bias = 1.5} output %y");
  same_as_runtime("input %x: float[2,6,4,5] %y = LRN(%x) {size = 3} output %y");
  // An even size reaches further behind, which the runtime does not take.
  const at::Tensor x = at::randn({1, 3, 2}, at::kDouble);
  const at::Tensor q = x * x, none = at::zeros({1, 1, 2}, at::kDouble);
  const at::Tensor sums = q + at::cat({q.slice(1, 1), none}, 1);
  CHECK(
      at::allclose(run_program("input %x: double[1,3,2] "
                               "%y = LRN(%x) {size = 2, alpha = 0.5} output %y",
                               {x})[0],
                   x / (sums * 0.25 + 1).pow(0.75)));
  gradients_agree(
      "input %x: double[2,4,3] %y = LRN(%x) {size = 3, alpha = 0.5} output %y");
}

TEST_CASE("LpNormalization and MeanVarianceNormalization") {
  for (const std::string p : {"1", "2"})
    for (const std::string axis : {"-1", "1"}) {
      const std::string call = "] %y = LpNormalization(%x) {p = " + p +
                               ", axis = " + axis + "} output %y";
      same_as_runtime("input %x: float[2,3,4" + call);
      gradients_agree("input %x: double[2,3,4" + call);
    }
  const at::Tensor zeros = at::zeros({2, 3});
  CHECK(at::equal(
      run_program("input %x: float[2,3] %y = LpNormalization(%x) output %y",
                  {zeros})[0],
      zeros));
  same_as_runtime(
      "input %x: float[2,3,4,5] "
      "%y = MeanVarianceNormalization(%x) output %y");
  same_as_runtime(
      "input %x: float[2,3,4,5] "
      "%y = MeanVarianceNormalization(%x) {axes = [2, 3]} output %y");
  gradients_agree(
      "input %x: double[2,3,4,2] "
      "%y = MeanVarianceNormalization(%x) output %y");
}

TEST_CASE("Softmax, LogSoftmax and Hardmax") {
  for (const std::string op : {"Softmax", "LogSoftmax", "Hardmax"}) {
    auto body = [&](const std::string& type, const std::string& attributes) {
      return "input %x: " + type + "[2,3,4,5] %y = " + op + "(%x)" +
             attributes + " output %y";
    };
    for (int64_t opset : {7, 11, 13, 17}) {
      same_as_runtime(body("float", ""), {.opset = opset});
      for (const std::string axis : {"0", "1", "2", "3"})
        same_as_runtime(body("float", " {axis = " + axis + "}"),
                        {.opset = opset});
    }
    same_as_runtime(body("float", " {axis = -2}"), {.opset = 13});
    same_as_runtime(body("float", " {axis = -2}"), {.opset = 11});
    if (op == "Hardmax") continue;
    gradients_agree("input %x: double[2,3,4] %y = " + op + "(%x) output %y");
    gradients_agree("input %x: double[2,3,4] %y = " + op + "(%x) output %y",
                    {.opset = 11});
  }
  // The first of several.
  const at::Tensor y =
      run_program("input %x: float[1,4] %y = Hardmax(%x) output %y",
                  {at::tensor({1.0f, 2.0f, 2.0f, 0.0f}).reshape({1, 4})})[0];
  CHECK(at::equal(y, at::tensor({0.0f, 1.0f, 0.0f, 0.0f}).reshape({1, 4})));
}

TEST_CASE("Dropout in evaluation") {
  same_as_runtime("input %x: float[3,4] %y = Dropout(%x) output %y");
  same_as_runtime(
      "input %x: float[3,4] %y, %m = Dropout(%x) "
      "output %y output %m");
  same_as_runtime(
      "input %x: float[3,4] init %r = float[] {0.3} "
      "init %t = bool[] {0} %y = Dropout(%x, %r, %t) output %y");
  same_as_runtime(
      "input %x: float[3,4] %y = Dropout(%x) {ratio = 0.3} output %y",
      {.opset = 7});
  same_as_runtime(
      "input %x: float[3,4] %y, %m = Dropout(%x) output %y output %m",
      {.opset = 10});
}

TEST_CASE("Dropout in training") {
  const at::Tensor x = at::ones({100, 100});
  auto check = [&](const at::Tensor& y, double ratio) {
    const at::Tensor zero = y == 0;
    CHECK(zero.to(at::kFloat).mean().item<double>() ==
          doctest::Approx(ratio).epsilon(0.1));
    CHECK(at::allclose(y, at::where(zero, at::zeros_like(y),
                                    at::full_like(y, 1 / (1 - ratio)))));
  };
  auto trained = [&](const std::string& body, int64_t opset) {
    const auto program = exec::Program::compile(test::exec_model(body, opset));
    program->set_training(true);
    return program->run({{"x", x}});
  };
  check(trained("input %x: float[100,100] %y = Dropout(%x) output %y", 17)[0],
        0.5);
  check(trained("input %x: float[100,100] %y = Dropout(%x) {ratio = 0.25} "
                "output %y",
                10)[0],
        0.25);
  const auto both = trained(
      "input %x: float[100,100] init %r = float[] {0.75} "
      "%y, %m = Dropout(%x, %r) output %y output %m",
      13);
  check(both[0], 0.75);
  CHECK((both[1].scalar_type() == at::kBool));
  CHECK(at::equal(both[1], both[0] != 0));
  // training_mode drops by itself; a ratio of 0 never does.
  check(run_program("input %x: float[100,100] init %r = float[] {0.25} "
                    "init %t = bool[] {1} "
                    "%y = Dropout(%x, %r, %t) output %y",
                    {x})[0],
        0.25);
  CHECK(at::equal(trained("input %x: float[100,100] init %r = float[] {0.0} "
                          "%y = Dropout(%x, %r) output %y",
                          17)[0],
                  x));
}

TEST_CASE("what a normalization does not take") {
  auto fails = [](const std::string& body) {
    CHECK_THROWS_AS(exec::Program::compile(test::exec_model(body, 18)), Error);
  };
  fails("input %x: float[2,3] %y = LpNormalization(%x) {p = 3} output %y");
  fails("input %x: float[2,3,4] %y = LRN(%x) {size = 0} output %y");
  fails(
      "input %x: float[2,3] input %s: float[3] "
      "%y, %m = BatchNormalization(%x, %s, %s, %s, %s) output %y output %m");
}

}  // namespace
}  // namespace lathe
