#include <doctest/doctest.h>

#include <set>

#include "passes/quantize/half_rules.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

Outcome half(const std::string& text, HalfOptions options = {},
             std::map<std::string, Range> ranges = {}) {
  return run_text(text, make_float16(std::move(options)), std::move(ranges));
}

ir::DataType type_of(const Outcome& outcome, const std::string& name) {
  return outcome.model.graph->find(name)->type.elem;
}

constexpr auto kHalf = ir::DataType::kFloat16;
constexpr auto kFloat = ir::DataType::kFloat;

// `wide` weights are large enough to be worth halving.
std::string wide(const std::string& name) {
  std::string values = "0.5";
  for (int i = 1; i < 256; ++i) values += ", 0.5";
  return "init %" + name + " = float[16,16] {" + values + "} ";
}

TEST_CASE("float16: inputs and outputs stay or go") {
  const std::string text = "opset 17 graph { input %x: float[1,16] " +
                           wide("w") +
                           "%h = MatMul(%x, %w) @one %y = Relu(%h) @two "
                           "output %y }";
  Outcome kept = half(text);
  CHECK(kept.result.remarks.empty());
  CHECK(kept.count("Cast") == 2);
  CHECK(type_of(kept, "x") == kFloat);
  CHECK(type_of(kept, "y") == kFloat);
  CHECK(kept.source("one", 0) == "Cast");
  CHECK(type_of(kept, "w") == kHalf);
  CHECK(kept.model.graph->outputs()[0]->name() == "y");

  Outcome gone = half(text, {.keep_io = false});
  CHECK(gone.count("Cast") == 0);
  CHECK(type_of(gone, "x") == kHalf);
  CHECK(type_of(gone, "y") == kHalf);
}

TEST_CASE("float16: an output computed in float is brought to half") {
  Outcome outcome = half(
      "opset 17 graph { input %x: float[2] %y = Exp(%x) @n output %y output %x "
      "}",
      {.keep_io = false});
  CHECK(outcome.node("n")->input(0)->producer()->is("Cast"));
  CHECK(outcome.model.graph->outputs()[0]->name() == "y");
  CHECK(type_of(outcome, "y") == kHalf);
  CHECK(outcome.model.graph->outputs()[1]->name() == "x");
  CHECK(type_of(outcome, "x") == kHalf);
}

TEST_CASE("float16: what stays in float says why") {
  struct Row {
    const char *node, *reason;
  };
  for (const Row& row : {
           Row{"init %k = float[] {70000} %y = Add(%h, %k) @n",
               "'k' holds 7e+04, beyond half's 65504"},
           Row{"init %k = float[2] {1e-6, -2e-6} init %i = int64[1] {0} "
               "%s = Gather(%h, %i) %y = ScatterElements(%s, %i, %k) @n",
               "'k' holds nothing above 2e-06; half loses bits below 6.1e-05"},
           Row{"%y = Mul(%h, %h) @n", "'y' reaches 1e+06, beyond half's 65504"},
           Row{"%y = Celu(%h) @n", "Celu has no half form"},
           Row{"%y = Pow(%h, %h) @n", "squares leave half's range early"},
           Row{"%i = ArgMax(%h) %y = Cast(%i) {to = 1} @n",
               "whole numbers above 2048 are not exact in half"},
           Row{"init %s = float[16] {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, "
               "1, 1} %y, %mean = LayerNormalization(%h, %s) @n",
               "its mean and deviation are float"},
           Row{"init %s = int64[1] {2} "
               "%y = ConstantOfShape(%s) {value = float[1] {1e6}} @n",
               "it fills with 1e+06, beyond half's 65504"},
           Row{"%u = other::Op(%h) %y = Add(%h, %u) @n",
               "the type of 'u' is not known"},
           Row{"%e = Exp(%h) %y = Neg(%e) @n",
               "it reads only what stays in float"},
           Row{"%e = Exp(%h) %y = Add(%e, %h) @n",
               "it stands between nodes that stay in float"},
       }) {
    CAPTURE(row.node);
    const bool wants_range = std::string(row.reason).starts_with("'y' reaches");
    Outcome outcome = half(
        "opset 17 opset other 1 graph { input %x: "
        "float[1,16] " +
            wide("w") + "%h = MatMul(%x, %w) @first " + row.node +
            " output %y }",
        {}, {{"y", {-1, wants_range ? 1e6f : 1.0f}}});
    CHECK(outcome.reason("n") == row.reason);
    CHECK(outcome.reason("first") == "");
  }
}

TEST_CASE("float16: exclusions") {
  const std::string text = "opset 17 graph { input %x: float[1,16] " +
                           wide("w") + "%y = MatMul(%x, %w) @n output %y }";
  CHECK(half(text, {.exclude_nodes = {"n"}}).result.remarks ==
        std::vector<Remark>{{"n", "exclude_nodes names it"}});
  CHECK(half(text, {.exclude_operators = {"MatMul"}}).result.remarks ==
        std::vector<Remark>{{"n", "exclude_operators names MatMul"}});
  Outcome unknown = half(text, {.exclude_nodes = {"m"}});
  CHECK(unknown.result.remarks ==
        std::vector<Remark>{
            {"",
             "exclude_nodes names 'm', which is no node of the simplified "
             "model"}});
  CHECK(half(text, {.exclude_nodes = {"n"}}).result.changes == 0);
}

TEST_CASE("float16: one Cast a value, none in pairs") {
  Outcome outcome =
      half("opset 17 graph { input %x: float[1,16] " + wide("w") +
           "%h = MatMul(%x, %w) @one %a = Exp(%h) @exp1 %b = Exp(%h) @exp2 "
           "%c = MatMul(%a, %w) @two %d = MatMul(%a, %w) @three "
           "%s = Add(%c, %d) @four %y = Add(%s, %b) @five output %y }");
  // x and a down, h and the sum up; the last Add is float.
  CHECK(outcome.count("Cast") == 4);
  CHECK(outcome.node("two")->input(0) == outcome.node("three")->input(0));
  for (const auto& node : outcome.model.graph->nodes())
    if (node->is("Cast") && node->input(0)->producer())
      CHECK_FALSE(node->input(0)->producer()->is("Cast"));
}

TEST_CASE("float16: an initializer is stored twice only when needed") {
  Outcome outcome =
      half("opset 17 graph { input %x: float[1,16] " + wide("w") + wide("v") +
           "%h = MatMul(%x, %w) @one %a = Add(%h, %w) @sum %e = Exp(%a) @exp "
           "%y = Add(%e, %v) @last output %y }");
  CHECK(outcome.reason("last") == "");  // large constants are worth halving
  CHECK(type_of(outcome, "v") == kHalf);
  CHECK(outcome.model.graph->find("w_half") == nullptr);

  Outcome both = half("opset 17 graph { input %x: float[1,16] " + wide("w") +
                      "%h = MatMul(%x, %w) @one %y = Pow(%h, %w) @two "
                      "output %y }");
  CHECK(type_of(both, "w") == kFloat);
  CHECK(type_of(both, "w_half") == kHalf);
  CHECK(both.node("two")->input(1)->name() == "w");
}

TEST_CASE("float16: types beside half ones stay") {
  Outcome outcome =
      half("opset 17 graph { input %x: float[1,1,16,16] " + wide("w") +
           "init %s = float[4] {1, 1, 2, 2} %h = MatMul(%x, %w) @one "
           "%r = Resize(%h, _, %s) {mode = \"nearest\"} @resize "
           "%n = Shape(%h) @shape %i = Cast(%h) {to = 7} @whole "
           "output %r output %n output %i }");
  CHECK(type_of(outcome, "s") == kFloat);
  CHECK(outcome.node("resize")->input(0)->type.elem == kHalf);
  CHECK(outcome.node("shape")->input(0)->type.elem == kHalf);
  CHECK(outcome.node("whole")->input(0)->type.elem == kHalf);
  CHECK(outcome.result.remarks.empty());
}

TEST_CASE("float16: Casts that the model has") {
  // From half: its readers take the half value. To half: nothing is left to do.
  Outcome outcome =
      half("opset 17 graph { input %x: float16[1,16] " + wide("w") +
           "%f = Cast(%x) {to = 1} @up %h = MatMul(%f, %w) @one "
           "%g = Cast(%h) {to = 10} @down %y = Neg(%g) @two output %y }");
  CHECK(outcome.count("Cast") == 0);
  CHECK(outcome.node("one")->input(0)->name() == "x");
  CHECK(outcome.node("two")->input(0)->name() == "h");
  // Flags become numbers straight in half.
  Outcome flags =
      half("opset 17 graph { input %x: float[1,16] input %c: bool[1,16] " +
           wide("w") +
           "%h = MatMul(%x, %w) %f = Cast(%c) {to = 1} @flag %y = Mul(%h, %f) "
           "output %y }");
  CHECK(flags.node("flag")->attr_int("to", 0) == 10);
}

TEST_CASE("float16: subgraphs read values around them") {
  Outcome outcome = half(
      "opset 17 graph { input %x: float[1,16] input %c: bool[] " + wide("w") +
      "%h = MatMul(%x, %w) @one %e = Exp(%x) @exp "
      "%y = If(%c) { "
      "then_branch = graph then { %t = MatMul(%e, %w) @inner output %t }, "
      "else_branch = graph else { %f = Exp(%h) @other output %f } } @if "
      "output %y }");
  const ir::Node* node = outcome.node("if");
  const ir::Graph *then = node->attr_graph("then_branch"),
                  *otherwise = node->attr_graph("else_branch");
  // Casts of outer values stand in the outer graph.
  CHECK(then->nodes().front()->input(0)->name() == "e_half");
  CHECK(otherwise->nodes().front()->input(0)->name() == "h_float");
  CHECK(then->outputs()[0]->type.elem == kFloat);
  CHECK(then->outputs()[0]->name() == "t");
  CHECK(otherwise->outputs()[0]->producer()->is("Exp"));
  CHECK(outcome.reason("if") ==
        "its inputs and outputs stay float; the nodes inside it are converted");
}

TEST_CASE("float16: constants of nodes and shapes") {
  Outcome outcome = half(
      "opset 17 graph { input %x: float[1,16] " + wide("w") +
      "init %s = int64[2] {1, 16} %k = Constant() {value = float[] {2}} "
      "%h = MatMul(%x, %w) %m = Mul(%h, %k) %z = ConstantOfShape(%s) @zeros "
      "%y = Max(%m, %z) output %y }");
  CHECK(outcome.node("zeros")->attr_tensor("value")->type() == kHalf);
  CHECK(type_of(outcome, "k") == kHalf);
}

TEST_CASE("float16: the table names each operator once") {
  std::set<std::string> names;
  for (const HalfRule& rule : half_rules()) names.insert(rule.name);
  CHECK(names.size() == half_rules().size());
}

}  // namespace
}  // namespace lathe::quantize::test
