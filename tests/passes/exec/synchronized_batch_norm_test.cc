// Two ranks with parts of a batch beside one rank with all of it.
#include <cmath>
#include <string>
#include <vector>

#include "passes/base/error.h"
#include "tests/passes/exec/rank_threads.h"

// After LibTorch.
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe {
namespace {

using Group = std::shared_ptr<exec::ProcessGroup>;

ir::Model network() {
  const auto list = [](const std::string& dims, int count, double step) {
    std::string values;
    for (int k = 0; k < count; ++k)
      values +=
          (k ? ", " : "") + std::to_string(0.4 * std::sin(step * (k + 1)));
    return " = float[" + dims + "] {" + values + "} ";
  };
  std::string text = "input %x: float[4,2,5,5] ";
  for (const std::string n : {"0", "1"}) {
    text += "init %w" + n + list("2,2,3,3", 36, 1.7) + "init %g" + n +
            " = float[2] {1.5, -0.5} init %b" + n +
            " = float[2] {0.25, 0.75} init %m" + n +
            " = float[2] {0.0, 0.5} init %v" + n + " = float[2] {1.0, 2.0} ";
    const std::string from = n == "0" ? "x" : "r0";
    text += "%c" + n + " = Conv(%" + from + ", %w" + n +
            ") {pads = [1,1,1,1]} " + "%n" + n + " = BatchNormalization(%c" +
            n + ", %g" + n + ", %b" + n + ", %m" + n + ", %v" + n +
            ") {momentum = 0.7} %r" + n + " = Relu(%n" + n + ") ";
  }
  return test::exec_model(
      text + "%p = GlobalAveragePool(%r1) %y = Flatten(%p) output %y");
}

struct Outcome {
  at::Tensor output, to_input;
  std::vector<at::Tensor> gradients, statistics;
};

// Sums of gradients over ranks.
Outcome train(const ir::Model& model, const at::Tensor& x,
              const at::Tensor& weights, int64_t segments, const Group& group) {
  exec::CompileOptions options;
  options.checkpoint_segments = segments;
  const auto program = exec::Program::compile(model, options);
  program->set_training(true);
  program->set_group(group);
  Outcome outcome;
  at::Tensor input = x.clone().set_requires_grad(true);
  const at::Tensor y = program->run({{"x", input}})[0];
  outcome.output = y.detach();
  (y * weights).sum().backward();
  outcome.to_input = input.grad();
  std::vector<at::Tensor> parameters;
  for (const auto& parameter : program->parameters())
    parameters.push_back(parameter.tensor);
  if (group) exec::average_gradients(*group, parameters);
  for (const at::Tensor& parameter : parameters)
    outcome.gradients.push_back(parameter.grad() *
                                (group ? group->ranks() : 1));
  for (const auto& buffer : program->buffers())
    outcome.statistics.push_back(buffer.tensor);
  return outcome;
}

void check_near(const at::Tensor& a, const at::Tensor& b) {
  REQUIRE(a.sizes() == b.sizes());
  if (a.numel() > 0) CHECK((a - b).abs().max().item<double>() < 1e-5);
}

void check_ranks(int64_t first, int64_t segments) {
  CAPTURE(first);
  CAPTURE(segments);
  const ir::Model model = network();
  at::manual_seed(3);
  // Far from zero, as sums of squares would not like it.
  const at::Tensor x = at::randn({4, 2, 5, 5}) + 10;
  const at::Tensor weights = at::randn({4, 2});
  const Outcome whole = train(model, x, weights, 0, nullptr);
  std::vector<Outcome> parts(2);
  test::with_ranks(2, [&](const Group& group) {
    const int64_t begin = group->rank() == 0 ? 0 : first,
                  end = group->rank() == 0 ? first : 4;
    parts[static_cast<size_t>(group->rank())] =
        train(model, x.slice(0, begin, end), weights.slice(0, begin, end),
              segments, group);
  });
  check_near(at::cat({parts[0].output, parts[1].output}), whole.output);
  check_near(at::cat({parts[0].to_input, parts[1].to_input}), whole.to_input);
  for (const Outcome& part : parts) {
    REQUIRE(part.gradients.size() == whole.gradients.size());
    for (size_t i = 0; i < whole.gradients.size(); ++i) {
      check_near(part.gradients[i], whole.gradients[i]);
      CHECK(at::equal(part.gradients[i], parts[0].gradients[i]));
    }
    REQUIRE(part.statistics.size() == 4);
    for (size_t i = 0; i < 4; ++i) {
      check_near(part.statistics[i], whole.statistics[i]);
      CHECK(at::equal(part.statistics[i], parts[0].statistics[i]));
    }
  }
}

bool skipped() {
  if (exec::has_process_groups()) return false;
  MESSAGE("skipped: this build has no process groups");
  return true;
}

TEST_CASE("two ranks train as one with the whole batch") {
  if (!skipped()) check_ranks(/*first=*/2, /*segments=*/0);
}

TEST_CASE("ranks with unlike parts of a batch") {
  if (skipped()) return;
  check_ranks(/*first=*/3, /*segments=*/0);
}

TEST_CASE("a rank without samples") {
  if (skipped()) return;
  check_ranks(/*first=*/0, /*segments=*/0);
}

TEST_CASE("gradient checkpointing over ranks") {
  if (!skipped()) check_ranks(/*first=*/2, /*segments=*/3);
}

TEST_CASE("evaluation asks no other rank") {
  if (skipped()) return;
  test::with_ranks(2, [&](const Group& group) {
    if (group->rank() == 1) return;
    const auto program = exec::Program::compile(network());
    program->set_group(group);
    CHECK(program->run({{"x", at::zeros({1, 2, 5, 5})}})[0].size(0) == 1);
  });
}

TEST_CASE("statistics that the graph asks for are those of all ranks") {
  if (skipped()) return;
  const ir::Model model = test::exec_model(
      "input %x: double[4,2] init %s = double[2] {1.0, 2.0} "
      "init %m = double[2] {0.5, 1.0} init %v = double[2] {1.0, 3.0} "
      "%y, %rm, %rv = BatchNormalization(%x, %s, %s, %m, %v) "
      "{training_mode = 1, momentum = 0.5} "
      "output %y output %rm output %rv");
  const at::Tensor x = at::randn({4, 2}, at::kDouble);
  test::with_ranks(2, [&](const Group& group) {
    const auto program = exec::Program::compile(model);
    program->set_training(true);
    program->set_group(group);
    const int64_t begin = 2 * group->rank();
    const auto got = program->run({{"x", x.slice(0, begin, begin + 2)}});
    const at::Tensor mean = at::tensor({0.5, 1.0}, at::kDouble);
    const at::Tensor variance = at::tensor({1.0, 3.0}, at::kDouble);
    CHECK(at::allclose(got[1], (mean + x.mean(0)) / 2));
    CHECK(at::allclose(
        got[2],
        (variance + x.var(at::IntArrayRef{0}, /*unbiased=*/false)) / 2));
  });
}

TEST_CASE("no gradients of gradients over ranks") {
  if (skipped()) return;
  test::with_ranks(2, [&](const Group& group) {
    const auto program = exec::Program::compile(network());
    program->set_training(true);
    program->set_group(group);
    at::Tensor x = at::randn({2, 2, 5, 5}).set_requires_grad(true);
    const at::Tensor loss = program->run({{"x", x}})[0].sum();
    CHECK_THROWS_WITH_AS(
        torch::autograd::grad({loss}, {x}, {}, /*retain_graph=*/true,
                              /*create_graph=*/true),
        "BatchNormalization over ranks: there are no gradients of gradients "
        "through it (use one rank)",
        Error);
  });
}

}  // namespace
}  // namespace lathe
