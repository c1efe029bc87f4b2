#include "passes/exec/train_options.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "passes/base/error.h"

namespace lathe::exec {
namespace {

using Names = std::vector<std::string>;

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  return "nothing thrown";
}

double factor(const Schedule& schedule, int64_t step, int64_t steps) {
  return learning_rate_factor(schedule, step, steps);
}

doctest::Approx near(double value) {
  return doctest::Approx(value).epsilon(1e-12);
}

TEST_CASE("optimizers and schedules by name") {
  CHECK(optimizer_names() == Names{"sgd", "adamw"});
  CHECK(schedule_names() == Names{"cosine", "step", "one-cycle", "constant"});
  CHECK(find_optimizer("sgd") == OptimizerKind::kSgd);
  CHECK(find_optimizer("adamw") == OptimizerKind::kAdamW);
  CHECK(message([] { find_optimizer("adam"); }) ==
        "optimizer: found 'adam'; did you mean 'adamw'? (known are sgd, "
        "adamw)");
  Schedule linear;
  linear.name = "linear";
  CHECK(message([&] { factor(linear, 0, 10); }) ==
        "schedule: found 'linear' (known are cosine, step, one-cycle, "
        "constant)");
}

TEST_CASE("cosine: a rise over the first steps, then half a wave") {
  const Schedule schedule{.warm_up = 0.05};
  // Five of a hundred steps rise, 95 fall.
  CHECK(factor(schedule, 0, 100) == near(0.2));
  CHECK(factor(schedule, 3, 100) == near(0.8));
  CHECK(factor(schedule, 4, 100) == 1);
  CHECK(factor(schedule, 5, 100) == 1);
  CHECK(factor(schedule, 24, 100) ==
        near(0.5 * (1 + std::cos(std::numbers::pi * 19 / 95))));
  CHECK(factor(schedule, 99, 100) ==
        near(0.5 * (1 + std::cos(std::numbers::pi * 94 / 95))));
  // Too few steps to rise over.
  CHECK(factor(schedule, 0, 19) == 1);
  CHECK(factor({.warm_up = 0}, 50, 100) == near(0.5));
  CHECK(factor({.warm_up = 0}, 0, 1) == 1);
  // Nothing but a rise.
  CHECK(factor({.warm_up = 1}, 3, 4) == 1);
}

TEST_CASE("step: down at milestones") {
  const Schedule schedule{
      .name = "step", .warm_up = 0.1, .milestones = {0.5, 0.75}, .gamma = 0.2};
  CHECK(factor(schedule, 0, 20) == 0.5);
  CHECK(factor(schedule, 1, 20) == 1);
  CHECK(factor(schedule, 9, 20) == 1);
  CHECK(factor(schedule, 10, 20) == near(0.2));
  CHECK(factor(schedule, 14, 20) == near(0.2));
  CHECK(factor(schedule, 15, 20) == near(0.04));
  CHECK(factor(schedule, 19, 20) == near(0.04));
}

TEST_CASE("one-cycle: up over 30%, down to nearly nothing") {
  const Schedule schedule{.name = "one-cycle", .warm_up = 0.5};
  CHECK(factor(schedule, 0, 100) == near(0.04));
  CHECK(factor(schedule, 15, 100) == near(0.52));
  CHECK(factor(schedule, 30, 100) == 1);
  CHECK(factor(schedule, 65, 100) == near((1 + 4e-6) / 2));
  CHECK(factor(schedule, 99, 100) ==
        near(4e-6 +
             (1 - 4e-6) * 0.5 * (1 + std::cos(std::numbers::pi * 0.69 / 0.7))));
}

TEST_CASE("constant, after a rise") {
  const Schedule schedule{.name = "constant", .warm_up = 0.5};
  CHECK(factor(schedule, 0, 4) == 0.5);
  CHECK(factor(schedule, 1, 4) == 1);
  CHECK(factor(schedule, 3, 4) == 1);
}

}  // namespace
}  // namespace lathe::exec
