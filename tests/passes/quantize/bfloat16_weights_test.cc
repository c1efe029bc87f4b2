#include <doctest/doctest.h>

#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

Outcome store(const std::string& text) {
  return run_text(text, make_bfloat16_weights({.min_elements = 2}));
}

TEST_CASE("bfloat16_weights: what cannot be stored says why") {
  Outcome outcome = store(R"(opset 17 graph {
    input %x: float[1,2]
    input %given: float[2] = float[2] {1, 2}
    init %shown = float[2] {1, 2}
    init %inf = float[2] {inf, 2}
    %a = Add(%x, %given) @first
    %b = Add(%a, %shown) @second
    %y = Add(%b, %inf) @third
    output %y
    output %shown
  })");
  CHECK(outcome.result.changes == 1);  // infinity stays infinity
  CHECK(outcome.source("third", 1) == "Cast");
  CHECK(outcome.result.remarks ==
        std::vector<Remark>{
            {"first",
             "'given' is a model input that can be overridden at run time"},
            {"second", "'shown' is an output of the model"}});
}

TEST_CASE("bfloat16_weights: one Cast for all readers, subgraphs too") {
  Outcome outcome = store(R"(opset 17 graph {
    input %x: float[1,2]
    input %c: bool[]
    init %w = float[2] {1, 2}
    %a = Add(%x, %w) @first
    %y = If(%c) {
      then_branch = graph then { %t = Add(%a, %w) output %t },
      else_branch = graph else {
        init %v = float[2] {3, 4}
        %e = Add(%a, %v) output %e
      }
    }
    output %y
  })");
  CHECK(outcome.result.changes == 2);
  CHECK(outcome.count("Cast") == 1);
  CHECK(outcome.model.graph->find("w") == nullptr);
  CHECK(outcome.model.graph->find("w_bfloat16")->tensor().type() ==
        ir::DataType::kBfloat16);
}

}  // namespace
}  // namespace lathe::quantize::test
