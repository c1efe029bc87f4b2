// Steps beside the formulas.
#include "passes/exec/optimizer.h"

// clang-format off
// After LibTorch, whose logging defines a CHECK as well.
#include <doctest/doctest.h>
// clang-format on

#include <cmath>

namespace lathe::exec {
namespace {

constexpr int kSteps = 3;
constexpr double kRates[kSteps] = {0.1, 0.05, 0.2};

at::Tensor values(std::vector<double> numbers) {
  return at::tensor(numbers, at::kDouble);
}

at::Tensor leaf(std::vector<double> numbers) {
  return values(std::move(numbers)).set_requires_grad(true);
}

at::Tensor gradient(int step) {
  return values({0.3 - 0.2 * step, -1.0 + step * step, 0.7});
}

void set_gradient(const at::Tensor& tensor, const at::Tensor& value) {
  tensor.mutable_grad() = value;
}

// One that decays and one that does not, with the same gradients.
std::vector<TrainedTensor> two_tensors() {
  return {{"a", leaf({1, -2, 0.5})}, {"b", leaf({1, -2, 0.5}), false}};
}

void step(Optimizer& optimizer, const std::vector<TrainedTensor>& tensors,
          int number) {
  for (const TrainedTensor& tensor : tensors)
    set_gradient(tensor.tensor, gradient(number));
  optimizer.step(kRates[number]);
}

void check_near(const at::Tensor& mine, const at::Tensor& formula) {
  CAPTURE(mine);
  CAPTURE(formula);
  CHECK((mine - formula).abs().max().item<double>() < 1e-12);
}

TEST_CASE("sgd with momentum, Nesterov's and the other") {
  for (const bool nesterov : {true, false}) {
    CAPTURE(nesterov);
    OptimizerOptions options;
    options.weight_decay = 0.01;
    options.momentum = 0.8;
    options.nesterov = nesterov;
    const auto tensors = two_tensors();
    const auto optimizer = make_optimizer(options, tensors);
    std::vector<at::Tensor> weights, momenta(2);
    for (const auto& tensor : tensors)
      weights.push_back(tensor.tensor.detach().clone());
    for (int i = 0; i < kSteps; ++i) {
      step(*optimizer, tensors, i);
      for (size_t k = 0; k < 2; ++k) {
        const double decay = k == 0 ? 0.01 : 0;
        const at::Tensor g = gradient(i) + decay * weights[k];
        momenta[k] = i == 0 ? g : 0.8 * momenta[k] + g;
        weights[k] = weights[k] -
                     kRates[i] * (nesterov ? g + 0.8 * momenta[k] : momenta[k]);
        check_near(tensors[k].tensor.detach(), weights[k]);
      }
    }
  }
}

TEST_CASE("sgd without momentum") {
  OptimizerOptions options;
  options.weight_decay = 0;
  options.momentum = 0;
  const auto tensors = two_tensors();
  const auto optimizer = make_optimizer(options, tensors);
  const at::Tensor before = tensors[0].tensor.detach().clone();
  step(*optimizer, tensors, 0);
  check_near(tensors[0].tensor.detach(), before - 0.1 * gradient(0));
  CHECK(optimizer->state().empty());
}

TEST_CASE("adamw") {
  OptimizerOptions options;
  options.kind = OptimizerKind::kAdamW;
  options.weight_decay = 0.1;
  options.beta1 = 0.8;
  options.beta2 = 0.9;
  options.epsilon = 1e-6;
  const auto tensors = two_tensors();
  const auto optimizer = make_optimizer(options, tensors);
  std::vector<at::Tensor> weights;
  for (const auto& tensor : tensors)
    weights.push_back(tensor.tensor.detach().clone());
  at::Tensor mean = at::zeros({3}, at::kDouble), square = mean.clone();
  for (int i = 0; i < kSteps; ++i) {
    step(*optimizer, tensors, i);
    mean = 0.8 * mean + 0.2 * gradient(i);
    square = 0.9 * square + 0.1 * gradient(i).square();
    const at::Tensor change =
        mean / (1 - std::pow(0.8, i + 1)) /
        ((square / (1 - std::pow(0.9, i + 1))).sqrt() + 1e-6);
    for (size_t k = 0; k < 2; ++k) {
      const double decay = k == 0 ? 0.1 : 0;
      weights[k] = weights[k] * (1 - kRates[i] * decay) - kRates[i] * change;
      check_near(tensors[k].tensor.detach(), weights[k]);
    }
  }
}

TEST_CASE("a tensor without a gradient stays as it is") {
  for (const OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    OptimizerOptions options;
    options.kind = kind;
    const auto tensors = two_tensors();
    const auto optimizer = make_optimizer(options, tensors);
    const at::Tensor before = tensors[1].tensor.detach().clone();
    set_gradient(tensors[0].tensor, gradient(0));
    optimizer->step(0.1);
    CHECK(tensors[1].tensor.detach().equal(before));
    CHECK_FALSE(tensors[0].tensor.detach().equal(before));
    for (const auto& [name, value] : optimizer->state())
      CHECK(name.substr(0, 1) == "a");
  }
}

TEST_CASE("an optimizer's state gives the same next step to the bit") {
  for (const OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    OptimizerOptions options;
    options.kind = kind;
    auto tensors = two_tensors();
    tensors[1].unit = values({0.3, 3, 1});
    const auto optimizer = make_optimizer(options, tensors);
    for (int i = 0; i < 2; ++i) step(*optimizer, tensors, i);
    const NamedValues state = optimizer->state();
    std::vector<TrainedTensor> others;
    for (const TrainedTensor& tensor : tensors)
      others.push_back(
          {.name = tensor.name,
           .tensor = tensor.tensor.detach().clone().set_requires_grad(true),
           .decays = tensor.decays,
           .unit = tensor.unit});
    const auto other = make_optimizer(options, others);
    other->load(state);
    step(*optimizer, tensors, 2);
    step(*other, others, 2);
    for (size_t k = 0; k < 2; ++k)
      CHECK(tensors[k].tensor.equal(others[k].tensor));
    // The state was a copy: a step later it is still what it was.
    const NamedValues later = optimizer->state();
    REQUIRE(later.size() == state.size());
    CHECK(later.size() == (kind == OptimizerKind::kSgd ? 2 : 6));
    CHECK_FALSE(later[0].second.equal(state[0].second));
    // What is loaded replaces what was there.
    other->load({});
    CHECK(other->state().empty());
  }
}

TEST_CASE("what has a unit is trained in multiples of it") {
  const at::Tensor unit = values({0.25, 4, 1});
  for (const OptimizerKind kind :
       {OptimizerKind::kSgd, OptimizerKind::kAdamW}) {
    OptimizerOptions options;
    options.kind = kind;
    options.weight_decay = 0.1;
    const std::vector<TrainedTensor> tensors = {{.name = "a",
                                                 .tensor = leaf({1, -2, 0.5}),
                                                 .gradient_scale = 0.5,
                                                 .unit = unit}};
    const std::vector<TrainedTensor> multiples = {
        {.name = "a", .tensor = leaf({4, -0.5, 0.5})}};
    const auto optimizer = make_optimizer(options, tensors),
               plain = make_optimizer(options, multiples);
    for (int i = 0; i < kSteps; ++i) {
      set_gradient(tensors[0].tensor, gradient(i));
      scale_gradients(tensors);
      set_gradient(multiples[0].tensor, 0.5 * gradient(i) * unit);
      check_near(tensors[0].tensor.grad(), multiples[0].tensor.grad());
      optimizer->step(kRates[i]);
      plain->step(kRates[i]);
      check_near(tensors[0].tensor.detach(),
                 multiples[0].tensor.detach() * unit);
    }
    // Its state is by name, as any.
    CHECK(optimizer->state().size() == plain->state().size());
    check_near(optimizer->state()[0].second, plain->state()[0].second);
    const at::Tensor before = tensors[0].tensor.detach().clone();
    clear_gradients(tensors);
    optimizer->step(0.1);
    CHECK(tensors[0].tensor.detach().equal(before));
  }
}

TEST_CASE("gradients are clipped by their common norm") {
  const std::vector<TrainedTensor> tensors = {
      {"a", leaf({0, 0})}, {"none", leaf({0})}, {"b", leaf({0})}};
  const auto set = [&] {
    set_gradient(tensors[0].tensor, values({3, 0}));
    set_gradient(tensors[2].tensor, values({-4}));
  };
  set();
  CHECK(clip_gradients(tensors, 0) == 5);
  CHECK(clip_gradients(tensors, 5) == 5);
  CHECK(tensors[0].tensor.grad().equal(values({3, 0})));
  CHECK(clip_gradients(tensors, 1) == 5);
  check_near(tensors[0].tensor.grad(), values({0.6, 0}));
  check_near(tensors[2].tensor.grad(), values({-0.8}));
  CHECK_FALSE(tensors[1].tensor.grad().defined());
  set();
  tensors[0].tensor.mutable_grad()[1] = INFINITY;
  CHECK(clip_gradients(tensors, 1) == INFINITY);
  CHECK(tensors[2].tensor.grad().item<double>() == -4);
}

TEST_CASE("a moving average follows sooner at the start, and is exchanged") {
  const at::Tensor tensor = leaf({1, 2});
  MovingAverage average(0.25, {tensor});
  CHECK(average.averages()[0].equal(values({1, 2})));
  at::Tensor formula = values({1, 2});
  // d = 1/10, 2/11, then at most 1/4.
  const double decays[] = {0.1, 2.0 / 11, 0.25, 0.25};
  for (int i = 0; i < 4; ++i) {
    {
      const at::NoGradGuard no_grad;
      tensor.add_(1.5);
    }
    average.update();
    formula = decays[i] * formula + (1 - decays[i]) * tensor.detach();
    check_near(average.averages()[0], formula);
    CHECK(average.updates == i + 1);
  }
  const at::Tensor mean = average.averages()[0].clone();
  average.swap();
  CHECK(tensor.detach().equal(mean));
  CHECK(average.averages()[0].equal(values({7, 8})));
  average.swap();
  CHECK(tensor.detach().equal(values({7, 8})));
  CHECK(average.averages()[0].equal(mean));
}

}  // namespace
}  // namespace lathe::exec
