// Gradient checkpointing: the same outputs, gradients and statistics with less
// memory.
#include <cmath>

#include "passes/base/error.h"
#include "tests/passes/exec/live_memory.h"

// After LibTorch.
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using exec::Program;
using test::exec_model;

// A chain of convolutions, normalizations, dropouts and shortcuts.
ir::Model chain(int blocks) {
  std::string text =
      "input %x: float[4,8,16,16] init %r = float[] {0.3} "
      "init %yes = bool[] {1} ";
  std::string at = "x";
  for (int i = 0; i < blocks; ++i) {
    const std::string n = std::to_string(i);
    const auto list = [&](const std::string& dims, size_t count, double step) {
      std::string values;
      for (size_t k = 0; k < count; ++k)
        values += (k ? ", " : "") +
                  std::to_string(0.2 * std::sin(step * (k + 1.0) + i));
      return "float[" + dims + "] {" + values + "} ";
    };
    text += "init %w" + n + " = " + list("8,8,3,3", 576, 1.7) + "init %g" + n +
            " = float[8] {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0} init %b" + n +
            " = " + list("8", 8, 0.3) + "init %m" + n + " = " +
            list("8", 8, 0.0) + "init %v" + n +
            " = float[8] {1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0} ";
    text += "%c" + n + " = Conv(%" + at + ", %w" + n +
            ") {pads = [1,1,1,1]} %n" + n + " = BatchNormalization(%c" + n +
            ", %g" + n + ", %b" + n + ", %m" + n + ", %v" + n + ") %a" + n +
            " = Relu(%n" + n + ") %d" + n + " = Dropout(%a" + n + ", %r) %s" +
            n + " = Add(%d" + n + ", %" + at + ") ";
    at = "s" + n;
  }
  return exec_model(text + "%p = GlobalAveragePool(%" + at +
                    ") %y = Flatten(%p) output %y");
}

struct Outcome {
  at::Tensor output, to_input;
  std::vector<at::Tensor> gradients, statistics;
  int64_t peak = 0;
};

Outcome train(const ir::Model& model, int64_t segments,
              const std::function<void(Program&)>& prepare = nullptr) {
  exec::CompileOptions options;
  options.checkpoint_segments = segments;
  const auto program = Program::compile(model, options);
  program->set_training(true);
  if (prepare) prepare(*program);
  at::manual_seed(5);
  at::Tensor x = at::randn({4, 8, 16, 16});
  x.set_requires_grad(true);
  const at::Tensor weights = at::randn({4, 8});
  Outcome outcome;
  outcome.peak = test::most_live_bytes([&] {
    const at::Tensor y = program->run({{"x", x}})[0];
    outcome.output = y.detach();
    (y * weights).sum().backward();
  });
  outcome.to_input = x.grad();
  for (const auto& parameter : program->parameters())
    outcome.gradients.push_back(parameter.tensor.grad());
  for (const auto& buffer : program->buffers())
    outcome.statistics.push_back(buffer.tensor);
  return outcome;
}

void check_same(const Outcome& a, const Outcome& b) {
  CHECK(at::equal(a.output, b.output));
  CHECK(at::equal(a.to_input, b.to_input));
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    CAPTURE(i);
    REQUIRE(a.gradients[i].defined());
    REQUIRE(b.gradients[i].defined());
    CHECK(at::equal(a.gradients[i], b.gradients[i]));
  }
  REQUIRE(a.statistics.size() == b.statistics.size());
  for (size_t i = 0; i < a.statistics.size(); ++i)
    CHECK(at::equal(a.statistics[i], b.statistics[i]));
}

TEST_CASE("checkpoints change memory alone") {
  const ir::Model model = chain(16);
  const Outcome plain = train(model, 0);
  REQUIRE(plain.gradients.size() == 48);
  REQUIRE(plain.statistics.size() == 32);
  // Statistics move.
  CHECK(!at::allclose(plain.statistics[1], at::ones({8})));
  for (int64_t segments : {int64_t{2}, int64_t{4}, int64_t{16}, int64_t{1000},
                           exec::kCheckpointsBySize}) {
    CAPTURE(segments);
    check_same(plain, train(model, segments));
  }
  const Outcome few = train(model, exec::kCheckpointsBySize);
  INFO(plain.peak << " bytes, with checkpoints " << few.peak);
  CHECK(few.peak < plain.peak / 2);
  CHECK(train(model, 1).peak == plain.peak);
}

TEST_CASE("the generator goes on as without checkpoints") {
  const ir::Model model = chain(4);
  train(model, 0);
  const at::Tensor after_plain = at::rand({8});
  train(model, 4);
  CHECK(at::equal(after_plain, at::rand({8})));
}

TEST_CASE("hooks run once beside checkpoints") {
  const ir::Model model = chain(6);
  int calls = 0;
  const auto hook = [&](Program& program) {
    for (const char* name : {"n1", "s3", "x"})
      program.set_hook(name, [&](const at::Tensor& value) {
        ++calls;
        return value * 0.5;
      });
  };
  const Outcome plain = train(model, 0, hook);
  CHECK(calls == 3);
  check_same(plain, train(model, 3, hook));
  CHECK(calls == 6);
  const Outcome cleared = train(model, 3, [&](Program& program) {
    hook(program);
    program.clear_hooks();
  });
  CHECK(calls == 6);
  check_same(train(model, 0), cleared);
}

TEST_CASE("checkpoints reach parameters inside of subgraphs") {
  const ir::Model model = exec_model(
      "input %x: float[2,3] init %k = int64[] {3} init %yes = bool[] {1} "
      "init %o = float[3] {1.0, 2.0, 3.0} %z = Neg(%x) "
      "%s = Loop(%k, %yes, %z) {body = graph b { input %i: int64[] "
      "input %c: bool[] input %a: float[2,3] "
      "init %w = float[3,3] {1.0, 0.5, 0.0, 0.0, 1.0, 0.5, 0.5, 0.0, 1.0} "
      "%m = MatMul(%a, %w) %n = Add(%m, %o) %g = Identity(%c) "
      "output %g output %n }} %t = Tanh(%s) %u = Exp(%t) %n2 = Neg(%u) "
      "%y = Sigmoid(%n2) output %y output %z output %o");
  std::vector<at::Tensor> gradients[2];
  for (int side = 0; side < 2; ++side) {
    exec::CompileOptions options;
    options.checkpoint_segments = side * 3;
    const auto program = Program::compile(model, options);
    at::Tensor x = at::arange(6, at::kFloat).reshape({2, 3}) / 6;
    x.set_requires_grad(true);
    const auto outputs = program->run({{"x", x}});
    (outputs[0].sum() + outputs[1].pow(2).sum() + outputs[2].sum()).backward();
    gradients[side].push_back(x.grad());
    for (const auto& parameter : program->parameters())
      gradients[side].push_back(parameter.tensor.grad());
  }
  REQUIRE(gradients[0].size() == 3);
  for (size_t i = 0; i < gradients[0].size(); ++i)
    CHECK(at::allclose(gradients[0][i], gradients[1][i], 1e-6, 1e-6));
}

TEST_CASE("checkpoints work after their program is gone") {
  at::Tensor x = at::full({3}, 0.5), y;
  x.set_requires_grad(true);
  {
    exec::CompileOptions options;
    options.checkpoint_segments = 2;
    y = Program::compile(exec_model("input %x: float[3] %a = Exp(%x) "
                                    "%b = Neg(%a) %c = Sigmoid(%b) "
                                    "%y = Sqrt(%c) output %y"),
                         options)
            ->run({{"x", x}})[0];
  }
  y.sum().backward();
  CHECK(x.grad()[0].item<float>() < 0);
}

TEST_CASE("what checkpoints do not do") {
  exec::CompileOptions options;
  options.checkpoint_segments = -2;
  const ir::Model model = exec_model(
      "input %x: float[2] %a = Exp(%x) %b = Neg(%a) %c = Exp(%b) output %c");
  CHECK_THROWS_WITH_AS(
      Program::compile(model, options),
      "checkpoint_segments: it is -2, but should be a count, or "
      "kCheckpointsBySize",
      Error);
  options.checkpoint_segments = 3;
  const auto program = Program::compile(model, options);
  at::Tensor x = at::ones({2});
  x.set_requires_grad(true);
  const at::Tensor y = program->run({{"x", x}})[0].sum();
  CHECK_THROWS_WITH_AS(
      torch::autograd::grad({y}, {x}, {}, c10::nullopt, /*create_graph=*/true),
      "checkpoints: there are no gradients of gradients through them (compile "
      "with checkpoint_segments = 0)",
      Error);
}

}  // namespace
}  // namespace lathe
