// Placement of integer kernels by latencies.
#include "passes/quantize/placement.h"

#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "tests/passes/quantize/support.h"
#include "tests/passes/quantize/table_latency.h"

namespace lathe::quantize::test {
namespace {

// Two convolutions with a Sigmoid and a Mul between them.
constexpr const char* kGated = R"(opset 17 graph {
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  init %v = float[1,1,1,1] {1}
  %a = Conv(%x, %w) @first
  %s = Sigmoid(%a) @gate
  %m = Mul(%a, %s) @gated
  %y = Conv(%m, %v) @second
  output %y
})";

Outcome place(const char* text, std::map<std::string, double> table,
              QuantizeOptions options = {}) {
  Outcome outcome{ir::parse_text(text), {}, {}};
  FixedRanges collector;
  const OperatorTable latency(std::move(table));
  PassContext context;
  context.ranges = &collector;
  context.latency = &latency;
  outcome.result = make_quantize_static(options)->run(outcome.model, context);
  ir::verify(*outcome.model.graph, "test");
  outcome.asked = collector.asked;
  return outcome;
}

std::string precision(const Outcome& outcome, const std::string& node) {
  for (const LayerDecision& layer : outcome.result.layers)
    if (layer.node == node) return layer.precision;
  return "none";
}

TEST_CASE("placement: everything pays") {
  const Outcome outcome = place(kGated, {{"Conv", 100},
                                         {"Conv int8", 30},
                                         {"Sigmoid", 10},
                                         {"Sigmoid int8", 8},
                                         {"Mul", 10},
                                         {"Mul int8", 5}});
  for (const char* node : {"first", "gate", "gated", "second"})
    CHECK(precision(outcome, node) == "int8");
  CHECK(outcome.result.remarks.empty());
  CHECK(outcome.source("second", 0) == "DequantizeLinear");
}

TEST_CASE("placement: a slow gate stays in float with what is beside it") {
  const Outcome outcome = place(kGated, {{"Conv", 100},
                                         {"Conv int8", 30},
                                         {"Sigmoid", 10},
                                         {"Sigmoid int8", 60},
                                         {"Mul", 10},
                                         {"Mul int8", 9}});
  CHECK(precision(outcome, "first") == "int8");
  CHECK(precision(outcome, "gate") == "float");
  CHECK(precision(outcome, "gated") == "float");
  CHECK(precision(outcome, "second") == "int8");
  CHECK(outcome.reason("gate") ==
        "it does not pay, its borders counted: 10.0 us in float, 60.0 us as an "
        "integer kernel on table");
  // One DQ for both float readers.
  CHECK(outcome.node("gate")->input(0) == outcome.node("gated")->input(0));
  // Nothing was observed that no code stands for.
  CHECK(std::ranges::count(outcome.asked, "s") == 0);
}

TEST_CASE("placement: borders decide about a small gain") {
  // The gate by itself is faster in float, by less than Q and DQ take.
  const std::map<std::string, double> table = {
      {"Conv", 100},          {"Conv int8", 30}, {"Sigmoid", 10},
      {"Sigmoid int8", 10.5}, {"Mul", 10},       {"Mul int8", 10}};
  const Outcome outcome = place(kGated, table);
  CHECK(precision(outcome, "gate") == "int8");
}

TEST_CASE("placement: where nothing pays the model stays as it is") {
  const Outcome outcome =
      place(kGated, {{"Conv", 1}, {"Conv int8", 3}, {"Mul int8", 2}});
  CHECK(outcome.count("QuantizeLinear") == 0);
  CHECK(outcome.result.changes == 0);
  CHECK(outcome.reason("") ==
        "integer kernels pay nowhere on table: 2.0 us in float, 10.0 us with "
        "all of them");
}

TEST_CASE("placement: all of them when that is asked for") {
  const Outcome outcome =
      place(kGated, {{"Conv", 1}, {"Conv int8", 3}, {"Mul int8", 2}},
            {.placement = PlacementRule::kAll});
  CHECK(outcome.node("first")->input(0)->producer()->is("DequantizeLinear"));
  CHECK(outcome.result.layers.empty());
}

TEST_CASE("placement: a fused activation goes with its convolution") {
  const char* text = R"(opset 17 graph {
  input %x: float[1,1,4,4]
  init %w = float[1,1,1,1] {1}
  %a = Conv(%x, %w) @conv
  %r = Relu(%a) @relu
  %b = Conv(%r, %w) @other
  output %b
})";
  for (const double int8 : {1.0, 500.0}) {
    const Outcome outcome =
        place(text, {{"Conv", 100}, {"Relu", 1}, {"Conv int8", int8}});
    const bool quantized = int8 < 100;
    CHECK((outcome.source("other", 0) == "DequantizeLinear") == quantized);
    // No Q between the two.
    CHECK(outcome.node("relu")->input(0)->producer()->is("Conv"));
  }
}

TEST_CASE("placement: modelled costs are those of the cut") {
  const ir::Model parsed = ir::parse_text(kGated);
  ir::Model model = ir::clone(parsed);
  ir::infer_shapes(model);
  QuantizeOptions options;
  const Selection candidates = select_nodes(model, options);
  const OperatorTable latency({{"Conv", 100},
                               {"Conv int8", 30},
                               {"Sigmoid", 10},
                               {"Sigmoid int8", 60},
                               {"Mul", 10},
                               {"Mul int8", 9}});
  Placement placement(model, candidates, options, latency, {});
  double least = placement.modelled_us(placement.none());
  CHECK(least == doctest::Approx(220));
  const size_t nodes = placement.nodes().size();
  for (unsigned bits = 0; bits < 1u << nodes; ++bits) {
    Labels labels(nodes);
    for (size_t i = 0; i < nodes; ++i) labels[i] = bits >> i & 1;
    // The gate alone in float would be an integer kernel all the same.
    if (labels[0] && !labels[1] && labels[2]) continue;
    least = std::min(least, placement.modelled_us(labels));
  }
  CHECK(placement.modelled_us(placement.cheapest({})) ==
        doctest::Approx(least));
  // A penalty on the integer side moves the cut.
  const Labels none = placement.cheapest(std::vector<double>(nodes, 1000));
  CHECK(none == placement.none());
}

TEST_CASE("placement: without shapes the rules of the runtime decide") {
  const char* text = R"(opset 17 graph {
  input %x: float
  init %w = float[1,1,1,1] {1}
  %y = Conv(%x, %w) @conv
  output %y
})";
  ir::Model model = ir::parse_text(text);
  model.graph->find("x")->type.shape.reset();
  ir::Model again = ir::clone(model);
  FixedRanges collector;
  const OperatorTable latency({{"Conv", 1}, {"Conv int8", 3}});
  PassContext context;
  context.ranges = &collector;
  context.latency = &latency;
  const PassResult result = make_quantize_static({})->run(model, context);
  CHECK(result.layers.empty());
  REQUIRE(result.remarks.size() == 1);
  CHECK(result.remarks[0].reason.starts_with(
      "integer kernels stand wherever the runtime has them, because their "
      "latency is not known: "));
  QuantizeOptions options;
  options.budget.min_sqnr_db = 20;
  CHECK_THROWS_AS(make_quantize_static(options)->run(again, context), Error);
}

}  // namespace
}  // namespace lathe::quantize::test
