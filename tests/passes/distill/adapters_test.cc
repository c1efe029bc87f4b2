#include "passes/distill/adapters.h"

#include "passes/base/error.h"
#include "tests/passes/distill/loss_support.h"

namespace lathe::test {
namespace {

using distill::Adapters;
using distill::FeaturePair;

std::vector<FeaturePair> pairs() {
  return {{"a", "A", 1, 4, 6, false},
          {"b", "B", 1, 5, 5, true},
          {"c", "C", 2, 8, 3, false}};
}

TEST_CASE("an adapter is a linear map of channels at every position") {
  const Adapters adapters(pairs(), 7);
  const auto parameters = adapters.parameters();
  REQUIRE(parameters.size() == 4);
  CHECK(parameters[0].first == "adapter.a.weight");
  CHECK(parameters[1].first == "adapter.a.bias");
  CHECK(parameters[2].first == "adapter.c.weight");
  CHECK(parameters[3].first == "adapter.c.bias");
  for (const auto& [name, tensor] : parameters) {
    CHECK(tensor.is_leaf());
    CHECK(tensor.requires_grad());
  }
  at::NoGradGuard no_grad;
  parameters[1].second.copy_(at::arange(6));
  const at::Tensor& weight = parameters[0].second;
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{2, 4}, {2, 4, 3}, {2, 4, 3, 5}}) {
    CAPTURE(sizes.size());
    const at::Tensor x = normal(sizes, 1).to(at::kFloat);
    const at::Tensor expected =
        at::matmul(x.movedim(1, -1), weight.t()) + parameters[1].second;
    CHECK(at::allclose(adapters.apply(0, x), expected.movedim(-1, 1), 1e-5,
                       1e-5));
  }
  const at::Tensor x = normal({2, 7, 8}, 1).to(at::kFloat);
  CHECK(at::allclose(adapters.apply(2, x),
                     at::matmul(x, parameters[2].second.t()), 1e-5, 1e-5));
}

TEST_CASE("equal channels need no adapter; half types come back as float") {
  const Adapters adapters(pairs(), 7);
  const at::Tensor x = normal({2, 5, 3, 3}, 1).to(at::kHalf);
  CHECK(adapters.apply(1, x).is_same(x));
  CHECK((adapters.apply(0, normal({2, 4, 3}, 1).to(at::kHalf)).scalar_type() ==
         at::kFloat));
}

TEST_CASE("adapters start from the seed and the pair's name") {
  const std::vector<FeaturePair> wide{{"a", "A", 1, 300, 200, false},
                                      {"b", "B", 1, 300, 200, false}};
  const auto first = Adapters(wide, 7).parameters();
  const auto again = Adapters(wide, 7).parameters();
  const auto other = Adapters(wide, 8).parameters();
  CHECK(first[0].second.equal(again[0].second));
  CHECK(!first[0].second.equal(other[0].second));
  CHECK(!first[0].second.equal(first[2].second));
  CHECK(first[1].second.eq(0).all().item<bool>());
  // Lengths are kept.
  const at::Tensor x = normal({100, 300}, 1).to(at::kFloat);
  const at::Tensor y = Adapters(wide, 7).apply(0, x);
  CHECK(y.square().mean().item<double>() == doctest::Approx(1).epsilon(0.05));
}

TEST_CASE("an adapter trains") {
  const Adapters adapters(pairs(), 7);
  const at::Tensor x = normal({64, 4, 2}, 1).to(at::kFloat);
  const at::Tensor y =
      at::cat({x, x.slice(1, 0, 2) * 2 + 1}, 1);  // a linear map of x
  const auto step = [&] {
    const at::Tensor loss = at::mse_loss(adapters.apply(0, x), y);
    loss.backward();
    at::NoGradGuard no_grad;
    for (auto [name, tensor] : adapters.parameters()) {
      if (!tensor.grad().defined()) continue;
      tensor.sub_(tensor.grad(), 0.5);
      tensor.mutable_grad().reset();
    }
    return loss.item<double>();
  };
  CHECK(step() > 0.5);
  for (int i = 0; i < 200; ++i) step();
  CHECK(step() < 1e-3);
}

TEST_CASE("a value of other channels is refused") {
  const Adapters adapters(pairs(), 7);
  try {
    adapters.apply(2, normal({2, 8, 4}, 1));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    CHECK(std::string(error.what()) ==
          "value 'c': found shape [2, 8, 4], expected 8 channels along axis 2");
  }
}

}  // namespace
}  // namespace lathe::test
