#include "passes/exec/program.h"

#include <cmath>

#include "passes/base/error.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using exec::Program;
using test::exec_model;

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + ": " + error.what();
  }
  return "no error";
}

const char* const kNet =
    "input %x: float[2,3] init %w = float[3,4] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, "
    "7.0, 8.0, 9.0, 10.0, 11.0, 12.0} init %b = float[4] {0.5, 0.5, 0.5, 0.5} "
    "init %half = float[] {0.5} %p = MatMul(%x, %w) @product "
    "%s = Add(%p, %b) @sum %y = Mul(%s, %half) @scaled output %y";

TEST_CASE("weights are leaves, single numbers are not") {
  const ir::Model model = exec_model(kNet);
  const auto program = Program::compile(model);
  REQUIRE(program->parameters().size() == 2);
  CHECK(program->parameters()[0].name == "w");
  CHECK(program->parameters()[1].name == "b");
  CHECK(program->buffers().empty());
  const at::Tensor x = at::ones({2, 3});
  const at::Tensor y = program->run({{"x", x}})[0];
  CHECK(y[0][0].item<float>() == doctest::Approx(0.5 * (1 + 5 + 9 + 0.5)));
  y.sum().backward();
  CHECK(program->parameters()[0].tensor.grad()[2][1].item<float>() ==
        doctest::Approx(1));
  CHECK(program->parameters()[1].tensor.grad()[3].item<float>() ==
        doctest::Approx(1));
}

TEST_CASE("the caller says what trains") {
  exec::CompileOptions options;
  options.trainable = [](const ir::Value& value) {
    return value.name() == "half";
  };
  const auto program = Program::compile(exec_model(kNet), options);
  REQUIRE(program->parameters().size() == 1);
  CHECK(program->parameters()[0].name == "half");
}

TEST_CASE("what was trained goes back into the graph") {
  ir::Model model = exec_model(kNet);
  const auto program = Program::compile(model);
  {
    at::NoGradGuard no_grad;
    program->parameters()[1].tensor.fill_(7);
  }
  // The model that was compiled is not touched before.
  CHECK(model.graph->find("b")->tensor().data<float>()[0] == 0.5f);
  program->store(model);
  CHECK(model.graph->find("b")->tensor().data<float>()[2] == 7);
  CHECK(model.graph->find("b")->type.elem == ir::DataType::kFloat);
  ir::Model other = exec_model("input %x: float[2] %y = Relu(%x) output %y");
  CHECK(error_of([&] { program->store(other); }) ==
        "input: initializer 'w': the model does not have it");
}

TEST_CASE("hooks see and replace values") {
  const auto program = Program::compile(exec_model(kNet));
  at::NoGradGuard no_grad;
  at::Tensor seen;
  program->set_hook("p", [&](const at::Tensor& value) {
    seen = value;
    return at::zeros_like(value);
  });
  const at::Tensor y = program->run({{"x", at::ones({2, 3})}})[0];
  CHECK(seen[1][0].item<float>() == 15);
  CHECK(y[1][0].item<float>() == 0.25f);
  program->clear_hooks();
  CHECK(program->run({{"x", at::ones({2, 3})}})[0][1][0].item<float>() ==
        doctest::Approx(7.75));
  CHECK(error_of([&] {
          program->set_hook("nothing", [](const at::Tensor& t) { return t; });
        }) == "usage: hook: the graph computes no value 'nothing'");
}

TEST_CASE("what cannot be run is named") {
  CHECK(error_of([] {
          Program::compile(exec_model(
              "input %x: float[2] %y: float[2] = my.domain::Frob(%x) @frob "
              "output %y"));
        })
            .starts_with("unsupported: Frob 'frob': the executor has no kernel "
                         "for the operator my.domain::Frob"));
  const auto program = Program::compile(exec_model(kNet));
  CHECK(error_of([&] { program->run({}); }) ==
        "input: input 'x': it is not given");
  const std::string failed = error_of([&] {
    program->run({{"x", at::ones({2, 5})}});
  });
  CHECK(
      failed.starts_with("input: MatMul 'product': it cannot be computed on "
                         "these inputs: "));
  CHECK(failed.find('\n') == std::string::npos);
}

TEST_CASE("normalization trains, and its statistics come back") {
  ir::Model model = exec_model(
      "input %x: float[8,2,4,4] init %g = float[2] {1.0, 2.0} "
      "init %b = float[2] {0.0, 1.0} init %m = float[2] {0.0, 0.0} "
      "init %v = float[2] {1.0, 1.0} "
      "%y = BatchNormalization(%x, %g, %b, %m, %v) {momentum = 0.75} "
      "output %y");
  const auto program = Program::compile(model);
  CHECK(program->parameters().size() == 2);
  REQUIRE(program->buffers().size() == 2);
  const at::Tensor x = at::randn({8, 2, 4, 4}) * 3 + 5;
  const at::Tensor before = program->run({{"x", x}})[0];
  CHECK(before.select(1, 0).mean().item<float>() > 3);
  program->set_training(true);
  const at::Tensor y = program->run({{"x", x}})[0];
  CHECK(std::abs(y.select(1, 0).mean().item<float>()) < 1e-4);
  y.sum().backward();
  program->set_training(false);
  program->store(model);
  const double mean = x.select(1, 0).mean().item<double>();
  CHECK(model.graph->find("m")->tensor().data<float>()[0] ==
        doctest::Approx(0.25 * mean).epsilon(1e-4));
}

TEST_CASE("dropout drops in training alone") {
  const auto program = Program::compile(exec_model(
      "input %x: float[1000] init %r = float[] {0.5} %y = Dropout(%x, %r) "
      "output %y"));
  const at::Tensor x = at::ones({1000});
  CHECK(at::equal(program->run({{"x", x}})[0], x));
  program->set_training(true);
  const double kept =
      (program->run({{"x", x}})[0] > 0).to(at::kDouble).mean().item<double>();
  CHECK(kept > 0.4);
  CHECK(kept < 0.6);
}

TEST_CASE("codes that are turned back at once let gradients through") {
  const auto program = Program::compile(exec_model(
      "input %x: float[3] init %s = float[] {0.5} init %z = uint8[] {0} "
      "%q = QuantizeLinear(%x, %s, %z) %y = DequantizeLinear(%q, %s, %z) "
      "output %y"));
  at::Tensor x = at::tensor({0.6f, -3.0f, 1000.0f});
  x.set_requires_grad(true);
  const at::Tensor y = program->run({{"x", x}})[0];
  CHECK(at::equal(y, at::tensor({0.5f, 0.0f, 127.5f})));
  y.sum().backward();
  CHECK(at::equal(x.grad(), at::tensor({1.0f, 0.0f, 0.0f})));
}

TEST_CASE("a subgraph reads values around it") {
  const char* const body =
      "input %c: bool[] input %x: float[2] %n = Neg(%x) "
      "%y = If(%c) {then_branch = graph t { %a = Add(%n, %n) output %a }, "
      "else_branch = graph e { %b = Mul(%n, %x) output %b }} output %y";
  const at::Tensor x = at::tensor({1.0f, 2.0f});
  CHECK(at::equal(test::run_program(body, {at::full({}, 1, at::kBool), x})[0],
                  at::tensor({-2.0f, -4.0f})));
  CHECK(at::equal(test::run_program(body, {at::full({}, 0, at::kBool), x})[0],
                  at::tensor({-1.0f, -4.0f})));
}

TEST_CASE("behind the interface of passes") {
  const ir::Model model = exec_model(kNet);
  const auto executable = exec::make_torch_executor()->prepare(model);
  const auto outputs = executable->run(
      {{"x", ir::Tensor::from<float>({2, 3}, std::vector<float>(6, 1))}});
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].type() == ir::DataType::kFloat);
  CHECK(outputs[0].dims() == std::vector<int64_t>{2, 4});
  CHECK(outputs[0].data<float>()[0] == doctest::Approx(7.75));
}

}  // namespace
}  // namespace lathe
