// Losses beside the runtime.
#include "passes/base/error.h"
#include "tests/passes/exec/exec_fixtures.h"

namespace lathe::test {
namespace {

TEST_CASE("losses in every reduction") {
  for (const char* reduction : {"none", "sum", "mean"})
    for (const char* weighted : {"", ", %w"})
      for (const char* ignored : {"", ", ignore_index = 0"})
        for (const char* sizes : {"", ",4", ",4,2"}) {
          const std::string inputs = std::string("input %x: float[3,5") +
                                     sizes + "] input %t: int64[3" + sizes +
                                     "] " +
                                     (*weighted ? "input %w: float[5] " : "");
          const std::string tail = std::string("(%x, %t") + weighted +
                                   ") {reduction = \"" + reduction + "\"" +
                                   ignored + "} output %y";
          same_as_runtime(inputs + "%y = NegativeLogLikelihoodLoss" + tail);
          same_as_runtime(inputs + "%y, %p = SoftmaxCrossEntropyLoss" + tail +
                          " output %p");
        }
}

TEST_CASE("a loss of a class that is none") {
  CHECK_THROWS_WITH_AS(
      run_program("input %x: float[1,2] input %t: int64[1] "
                  "%y = NegativeLogLikelihoodLoss(%x, %t) @loss output %y",
                  {at::ones({1, 2}), at::full({1}, 7, at::kLong)}),
      "NegativeLogLikelihoodLoss 'loss': it cannot be computed on these "
      "inputs: index 7 is out of bounds for dimension 1 with size 2",
      Error);
}

}  // namespace
}  // namespace lathe::test
