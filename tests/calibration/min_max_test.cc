#include "calibration/ranges/min_max.h"

#include <cmath>
#include <limits>

#include "calibration/ranges/finite_range.h"
#include "tests/calibration/fixtures.h"

namespace lathe::ranges {
namespace {

using test::error_of;
using test::MemorySource;
using test::model_of;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

ActivationRanges collect(const ir::Model& model, BatchSource& data,
                         const std::vector<std::string>& values,
                         int64_t samples = 0, int jobs = 1) {
  return make_min_max_collector(data, samples, jobs)
      ->collect(model, values, silent_progress(), nullptr);
}

const char* const kModel = R"(graph main {
  input %x: float[N,2]
  init %w = float[2] {-1, 10}
  %scaled: float[N,2] = Mul(%x, %w)
  %positive: float[N,2] = Relu(%scaled)
  %shape: int64[2] = Shape(%x)
  output %positive
})";

TEST_CASE("ranges of inputs, constants, inner values and outputs") {
  MemorySource data({2}, {{1, 2}, {-3, 0.5f}, {0, -4}});
  ActivationRanges ranges = collect(model_of(kModel), data,
                                    {"x", "w", "scaled", "positive", "scaled"});
  CHECK(ranges.size() == 4);
  CHECK(ranges["x"] == Range{-4, 2});
  CHECK(ranges["w"] == Range{-1, 10});
  CHECK(ranges["scaled"] == Range{-40, 20});
  CHECK(ranges["positive"] == Range{0, 20});
}

TEST_CASE("only so many samples, and none read for constants") {
  MemorySource data({2}, {{1, 2}, {-3, 0.5f}, {0, -4}});
  CHECK(collect(model_of(kModel), data, {"x"}, /*samples=*/2)["x"] ==
        Range{-3, 2});
  data.reads = 0;
  CHECK(collect(model_of(kModel), data, {"w"})["w"] == Range{-1, 10});
  CHECK(data.reads == 0);
}

TEST_CASE("a fixed batch is filled up") {
  std::string fixed = kModel;
  for (size_t at; (at = fixed.find("[N,2]")) != std::string::npos;)
    fixed.replace(at, 5, "[2,2]");
  MemorySource data({2}, {{1, 2}, {-3, 0.5f}, {0, -4}});
  ActivationRanges ranges = collect(model_of(fixed), data, {"x", "scaled"});
  CHECK(ranges["x"] == Range{-4, 2});
  CHECK(ranges["scaled"] == Range{-40, 20});
  CHECK(collect(model_of(fixed), data, {"x"}, /*samples=*/1)["x"] ==
        Range{1, 2});
}

TEST_CASE("jobs do not change the result") {
  ir::Model model = model_of(R"(graph main {
    input %x: float[N,3,8,8]
    init %w = float[2,3,1,1] {0.5, -1, 2, 1, 1, -0.25}
    %c: float[N,2,8,8] = Conv(%x, %w)
    %r: float[N,2,8,8] = Relu(%c)
    %s: float[N,2,8,8] = Sigmoid(%c)
    output %r
  })");
  MemorySource data({3, 8, 8}, test::random_samples(61, 3 * 8 * 8, 3));
  std::vector<std::string> values = {"x", "c", "r", "s"};
  ActivationRanges one = collect(model, data, values, 0, 1);
  ActivationRanges four = collect(model, data, values, 0, 4);
  for (const std::string& name : values) {
    CAPTURE(name);
    CHECK(one.at(name) == four.at(name));
    CHECK(one.at(name).min < one.at(name).max + (name == "r" ? 1 : 0));
  }
}

TEST_CASE("what is not finite is left out, and an error where nothing is") {
  ir::Model model = model_of(R"(graph main {
    input %x: float[N,2]
    %l: float[N,2] = Log(%x)
    output %l
  })");
  MemorySource some({2}, {{1, 0}, {-1, std::exp(1.0f)}});
  Range range = collect(model, some, {"l"})["l"];
  CHECK(range.min == 0);
  CHECK(range.max == doctest::Approx(1));
  MemorySource none({2}, {{-1, 0}, {-1, -2}});
  CHECK(error_of([&] { collect(model, none, {"l"}); }) ==
        "input: value 'l': it is never finite over the calibration data "
        "(check the preprocessing of the data and the model's weights)");
}

TEST_CASE("values that have no range") {
  MemorySource data({2}, {{1, 2}});
  CHECK(error_of([&] { collect(model_of(kModel), data, {"scald"}); }) ==
        "input: value 'scald': the model has no such value; did you mean "
        "'scaled'?");
  CHECK(error_of([&] { collect(model_of(kModel), data, {"shape"}); }) ==
        "input: value 'shape': a range needs floating-point elements, not "
        "int64");
  MemorySource empty({2}, {});
  CHECK(error_of([&] { collect(model_of(kModel), empty, {"x"}); }) ==
        "input: memory: the data has no samples");
}

TEST_CASE("cancelling stops a collection") {
  MemorySource data({2}, {{1, 2}});
  CancelToken cancel;
  cancel.cancel();
  CHECK(error_of([&] {
          make_min_max_collector(data, 0, 1)
              ->collect(model_of(kModel), {"x"}, silent_progress(), &cancel);
        }).starts_with("interrupted"));
}

TEST_CASE("the finite range agrees with a plain loop") {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> values(random.below(150));
    for (float& value : values) {
      value = static_cast<float>(random.normal());
      if (round % 3 == 1 && random.below(10) == 0) value = kNan;
      if (round % 3 == 2 && random.below(10) == 0)
        value = random.below(2) ? kInf : -kInf;
    }
    float low = kInf, high = -kInf;
    for (float value : values)
      if (std::isfinite(value)) {
        low = std::min(low, value);
        high = std::max(high, value);
      }
    FiniteRange range = finite_range(values);
    CAPTURE(round);
    CHECK(range.min == low);
    CHECK(range.max == high);
    CHECK(range.any_element == !values.empty());
    CHECK(range.any_finite() == (low <= high));
  }
  CHECK_FALSE(finite_range(std::vector<float>(100, kNan)).any_finite());
  CHECK_FALSE(finite_range(std::vector<float>(100, kInf)).any_finite());
  CHECK_FALSE(finite_range(std::vector<float>(100, -kInf)).any_finite());
}

}  // namespace
}  // namespace lathe::ranges
