#include "passes/exec/model_part.h"

#include <doctest/doctest.h>

#include "passes/ir/text_format.h"

namespace lathe::exec {
namespace {

using Names = std::vector<std::string>;

TEST_CASE("model part: its inputs, and what is fixed") {
  const ir::Model model = ir::parse_text(R"(opset 17 graph {
    input %x: float[1,2]
    input %unused: float[1]
    init %w = float[2] {1, 2}
    %k = Neg(%w) @fixed
    %a = Add(%x, %k) @a
    %b = Mul(%a, %k) @b
    %c = Mul(%b, %a) @c
    %d = Neg(%c) @d
    output %d
    output %a
  })");
  const ir::Graph& graph = *model.graph;
  const ExecutionOrder order(graph);
  CHECK(order.is_fixed(*graph.find("k")));
  CHECK_FALSE(order.is_fixed(*graph.find("b")));
  const auto names = [&](size_t position) {
    Names found;
    for (const ir::Value* value : order.alive(position))
      found.push_back(value->name());
    return found;
  };
  CHECK(names(0) == Names{"x"});
  CHECK(names(2) == Names{"a"});
  CHECK(names(3) == Names{"a", "b"});
  CHECK(names(5) == Names{});
  CHECK(ir::to_text(model_part(model, {"a", "x"}, {"c"})) ==
        "ir_version 8\nopset 17\ngraph {\n  input %a: ?\n"
        "  init %w = float[2] {1, 2}\n  %k = Neg(%w) @fixed\n"
        "  %b = Mul(%a, %k) @b\n  %c = Mul(%b, %a) @c\n  output %c\n"
        "  output %c\n}\n");
}

TEST_CASE("model part: what nothing in it needs goes, whatever it is") {
  const ir::Model model = ir::parse_text(R"(opset 17 graph {
    input %x: float[1,2]
    init %w = float[2] {1, 2}
    init %unused = float[1] {3}
    %a = my.domain::Frob(%x) @frob
    %b = Mul(%a, %w) @b
    %c = my.domain::Frob(%b) @behind
    output %c
  })");
  CHECK(ir::to_text(model_part(model, {"a"}, {"b"})) ==
        "ir_version 8\nopset 17\ngraph {\n  input %a: ?\n"
        "  init %w = float[2] {1, 2}\n  %b = Mul(%a, %w) @b\n  output %b\n}\n");
}

TEST_CASE("model part: the batch that inputs fix") {
  const auto batch = [](const std::string& inputs) {
    return fixed_batch_size(
        *ir::parse_text("opset 17 graph { " + inputs + " }").graph);
  };
  CHECK(batch("input %x: float[4,2]") == 4);
  CHECK(batch("input %x: float[n,2]") == std::nullopt);
  CHECK(batch("input %x: float[4,2] input %y: int64[4]") == 4);
  CHECK(batch("input %x: float[4,2] input %y: int64[2,4]") == 1);
  CHECK(batch("input %x: float[4,2] input %y: int64[n]") == 1);
  CHECK(batch("input %x: float[n,2] input %y: int64[]") == std::nullopt);
}

}  // namespace
}  // namespace lathe::exec
