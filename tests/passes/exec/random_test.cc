// What is drawn at random: by its statistics, and again by its seed.
#include "passes/base/error.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

at::Tensor drawn(const std::string& call) {
  at::manual_seed(7);
  return run_program("input %x: float[100,100] %y = " + call + " output %y",
                     {at::full({100, 100}, 0.25)})[0];
}

double average(const at::Tensor& x) { return x.mean().item<double>(); }
double deviation(const at::Tensor& x) {
  return x.to(at::kDouble).std().item<double>();
}

TEST_CASE("RandomNormal and RandomUniform") {
  for (const char* call :
       {"RandomNormal() {shape = [100,100], ", "RandomNormalLike(%x) {"}) {
    const at::Tensor x = drawn(std::string(call) + "mean = 3.0, scale = 0.5}");
    CHECK(x.sizes() == at::IntArrayRef({100, 100}));
    CHECK((x.scalar_type() == at::kFloat));
    CHECK(average(x) == doctest::Approx(3).epsilon(0.01));
    CHECK(deviation(x) == doctest::Approx(0.5).epsilon(0.03));
    CHECK(at::equal(x, drawn(std::string(call) + "mean = 3.0, scale = 0.5}")));
  }
  for (const char* call :
       {"RandomUniform() {shape = [100,100], ", "RandomUniformLike(%x) {"}) {
    const at::Tensor x =
        drawn(std::string(call) + "low = -1.0, high = 3.0, dtype = 11}");
    CHECK(x.sizes() == at::IntArrayRef({100, 100}));
    CHECK((x.scalar_type() == at::kDouble));
    CHECK(x.min().item<double>() >= -1);
    CHECK(x.max().item<double>() <= 3);
    CHECK(average(x) == doctest::Approx(1).epsilon(0.05));
  }
  CHECK_THROWS_WITH_AS(drawn("RandomNormal() {shape = [2], scale = -1.0} @bad"),
                       "RandomNormal 'bad': attribute 'scale' is -1.000000",
                       Error);
}

TEST_CASE("Bernoulli and Multinomial") {
  const at::Tensor hits = drawn("Bernoulli(%x) {dtype = 7}");
  CHECK((hits.scalar_type() == at::kLong));
  CHECK(average(hits.to(at::kDouble)) == doctest::Approx(0.25).epsilon(0.1));
  at::manual_seed(7);
  const at::Tensor classes = run_program(
      "input %x: float[1,3] %y = Multinomial(%x) "
      "{sample_size = 10000} output %y",
      {at::log(at::tensor({0.5f, 0.2f, 0.3f})).reshape({1, 3})})[0];
  CHECK(classes.sizes() == at::IntArrayRef({1, 10000}));
  CHECK((classes.scalar_type() == at::kInt));
  for (int64_t i = 0; i < 3; ++i) {
    const double share[] = {0.5, 0.2, 0.3};
    CHECK(average((classes == i).to(at::kDouble)) ==
          doctest::Approx(share[i]).epsilon(0.1));
  }
}

}  // namespace
}  // namespace lathe::test
