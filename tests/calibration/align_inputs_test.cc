#include "calibration/accuracy/align_inputs.h"

#include "calibration/accuracy/accuracy.h"
#include "tests/calibration/fixtures.h"

namespace lathe::accuracy {
namespace {

using test::error_of;
using test::MemorySource;
using test::model_of;

const char* const kFloat = R"(graph main {
  input %x: float[N,3]
  %y: float[N,3] = Neg(%x)
  output %y
})";
const char* const kHalf = R"(graph main {
  input %x: float16[N,3]
  %y: float16[N,3] = Neg(%x)
  output %y
})";

std::string aligned(const std::string& reference, const std::string& model) {
  const ir::Model other = model_of(model);
  const auto changed = align_inputs(model_of(reference), other);
  if (!changed) return "as it is";
  std::string text = ir::to_text(*changed);
  return text.substr(text.find("graph"));
}

TEST_CASE("inputs that fit stay") {
  CHECK(aligned(kFloat, kFloat) == "as it is");
  CHECK(aligned(kHalf, kHalf) == "as it is");
  // Not floating-point: the runtime says what is wrong.
  CHECK(aligned(kFloat, R"(graph main {
    input %x: int32[N,3]
    %y: int32[N,3] = Neg(%x)
    output %y
  })") == "as it is");
}

TEST_CASE("an input of another floating-point type gets a Cast") {
  CHECK(aligned(kFloat, kHalf) ==
        R"(graph main {
  input %x: float[N,3]
  %x_Cast: float16[N,3] = Cast(%x) {to = 10}
  %y: float16[N,3] = Neg(%x_Cast)
  output %y
}
)");
}

TEST_CASE("inputs of other names are renamed in order, and retyped") {
  CHECK(aligned(kFloat, R"(graph main {
    input %data: float16[N,3]
    %x: float16[N,3] = Neg(%data)
    output %x
  })") == R"(graph main {
  input %x: float[N,3]
  %x_Cast: float16[N,3] = Cast(%x) {to = 10}
  %x_inner: float16[N,3] = Neg(%x_Cast)
  output %x_inner
}
)");
}

TEST_CASE("an input that was optimized away is taken and ignored") {
  const std::string two = R"(graph main {
    input %x: float[N,3]
    input %rate: int64[]
    %y: float[N,3] = Neg(%x)
    output %y
  })";
  CHECK(aligned(two, kFloat) == R"(graph main {
  input %x: float[N,3]
  input %rate: int64
  %y: float[N,3] = Neg(%x)
  output %y
}
)");
  // One more, and one that the reference does not have: no way to tell.
  CHECK(aligned(two, R"(graph main {
    input %x: float[N,3]
    input %other: float[N,3]
    %y: float[N,3] = Add(%x, %other)
    output %y
  })") == "as it is");
}

TEST_CASE("a half model is scored on the float model's samples") {
  // 2049 is no half: the model rounds it to 2048.
  MemorySource data({3}, {{1, 2, 3}, {2049, 0, 0}});
  const ir::Model reference = model_of(kFloat), half = model_of(kHalf);
  const Accuracy result =
      evaluate(half, &reference, data, {}, silent_progress(), nullptr);
  CHECK(result.samples == 2);
  CHECK(*result.agreement == 1);
  REQUIRE(result.outputs.size() == 1);
  CHECK(result.outputs[0].max_abs_diff == 1);
  const auto evaluator =
      make_evaluator(reference, data, {}, silent_progress(), nullptr);
  CHECK(evaluator->evaluate(half).outputs[0].max_abs_diff == 1);
  // Without a reference the samples are the model's own.
  CHECK(error_of([&] {
          evaluate(half, nullptr, data, {}, silent_progress(), nullptr);
        }) ==
        "input: model: input 'x' is float[1,3], the model expects "
        "float16[N,3]");
}

}  // namespace
}  // namespace lathe::accuracy
