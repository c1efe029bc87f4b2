#include "passes/ir/text_format.h"

#include <doctest/doctest.h>

#include <limits>

#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe::ir {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_text(text, "g");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    return error.what();
  }
  return "no error";
}

const char* const kEverything = R"(ir_version 9
opset 17
opset com.microsoft 1
producer "a \"b\"" "1.0"
domain "net"
model_version 3
metadata "k\x0a" "v"
function local::Scale<"v2"> {
  opset 17
  attribute by
  attribute bias = 0.5
  graph {
    input %x: ?
    %y = Mul(%x, %x) {by = ref("by", 1)}
    output %y
  }
}
graph main {
  input %x: float[N,3,?]
  input %"a:0": float = float[2] {1, 2}
  input %s: opaque("\x0a\x01")
  init %w = float[1] #cf0d7ed90e3cb5e0
  init %i = int64[2] {-9223372036854775808, 9223372036854775807}
  init %h = float16[3] {1.5, inf, nan}
  init %n = string[2] {"a", "\xff"}
  init %q = int4[3] {-8, 7, 1}
  init %c = complex64[] {bytes "\x00\x00\x80?\x00\x00\x00\x00"}
  %y: float[N,"3 4"], _ = Conv(%x, %i, _) {a = 1, b = 1.0, c = "s", d = [1, 2], e = [1.0, nan], f = ints[], g = ["x"], h = float[] {3}} @"my conv"
  () = com.microsoft::Sink(%y)
  %z = If(%y) {
    then_branch = graph then {
      %t: float = Neg(%y)
      output %t
    },
    else_branch = graph {
      output %"a:0"
    }
  }
  output %z
  output %z
}
)";

TEST_CASE("text_format: every part comes back") {
  // Spelled with a hash, the weights would not parse; give them elements.
  std::string text = kEverything;
  const std::string hash = "#cf0d7ed90e3cb5e0";
  text.replace(text.find(hash), hash.size(), "{1e+20}");
  CHECK(to_text(parse_text(text)) == text);
}

TEST_CASE("text_format: a large initializer shows a hash and is refused") {
  Model model = parse_text("graph { init %w = float[2] {1, 2} }");
  std::string text = to_text(model, {.max_elements = 1});
  CHECK(text.find("init %w = float[2] #") != std::string::npos);
  Model other = parse_text("graph { init %w = float[2] {1, 3} }");
  CHECK(to_text(other, {.max_elements = 1}) != text);
  CHECK(error_of("graph { init %w = float[2] #00ff }") ==
        "g:1:28: only the hash of the elements is given; write them out");
}

TEST_CASE("text_format: types can be left out") {
  Model model = parse_text(
      "graph { input %x: float[2] %y: float[2] = Neg(%x) output %y }");
  CHECK(to_text(*model.graph, {.value_types = false}) ==
        "graph {\n  input %x: float[2]\n  %y = Neg(%x)\n  output %y\n}\n");
}

TEST_CASE("text_format: a value may be used before its node") {
  Model model = parse_text(
      "graph { input %x: float[2] %z = Neg(%y) %y = Abs(%x) output %z }");
  CHECK(model.graph->find("z")->producer()->input(0)->producer()->op_type ==
        "Abs");
}

TEST_CASE("text_format: a subgraph sees the values around it") {
  Model model = parse_text(R"(graph {
    input %c: bool[]
    input %x: float[2]
    %y = If(%c) {then_branch = graph { %t = Neg(%x) output %t }}
    output %y
  })");
  Value* x = model.graph->find("x");
  REQUIRE(x->uses().size() == 1);
  CHECK(x->uses()[0].node->op_type == "Neg");
}

TEST_CASE("text_format: errors name line and column") {
  CHECK(error_of("graph {\n  input %x float\n}") ==
        "g:2:12: expected ':', found 'float'");
  CHECK(error_of("graph {\n  %y = Neg(%x)\n}") == "g:2:12: 'x' is not defined");
  CHECK(error_of("graph { input %x: float input %x: float }") ==
        "g:1:31: 'x' is defined twice");
  CHECK(error_of("graph { input %x: float %x = Neg(%x) }") ==
        "g:1:25: 'x' is defined twice");
  CHECK(error_of("graph { %a, %a = Split() }") ==
        "g:1:13: 'a' is defined twice");
  CHECK(error_of("graph { input %x: flout }") ==
        "g:1:19: unknown type 'flout'");
  CHECK(error_of("graph { init %x = float[3] {1, 2} }") ==
        "g:1:33: found 2 elements, but the shape has 3");
  CHECK(error_of("graph { init %x = float[9999999999,9999999999] {1} }") ==
        "g:1:19: shape [9999999999,9999999999] has too many elements");
  CHECK(error_of("graph { init %x = float[N] {1} }") ==
        "g:1:19: a tensor needs a type with every dimension known");
  CHECK(error_of("graph { init %x = float[1] {one} }") ==
        "g:1:29: expected a number, found 'one'");
  CHECK(error_of("graph { %y = Op() {a = 1, a = 2} }") ==
        "g:1:27: attribute 'a' is given twice");
  CHECK(error_of("graph { %y = Op() @\"n") ==
        "g:1:20: the string does not end");
  CHECK(error_of("graph { foo }") ==
        "g:1:9: expected input, init, a node, output or '}', found 'foo'");
  CHECK(error_of("") ==
        "g:1:1: expected ir_version, opset, producer, domain, model_version, "
        "metadata, function or graph, found the end of the text");
  CHECK(error_of("graph {} x") ==
        "g:1:10: expected the end of the text, found 'x'");
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "graph { %y = If() {b = ";
  CHECK(error_of(deep) == "g:1:1478: graphs are nested deeper than 64");
}

// A random graph with nodes, constants, attributes and subgraphs.
void fill(Graph& graph, std::vector<Value*> visible, Random& random, int depth,
          int& counter) {
  auto fresh = [&] {
    const char* const kShapes[] = {"v%d", "a/b.%d", "odd name:%d", "\x01\"%d"};
    std::string name = kShapes[random.below(4)];
    return name.replace(name.find("%d"), 2, std::to_string(counter++));
  };
  auto random_type = [&] {
    ValueType type;
    if (random.below(4) == 0) return type;
    type.elem = static_cast<DataType>(1 + random.below(23));
    if (random.below(4) == 0) return type;
    type.shape.emplace();
    for (uint64_t i = random.below(4); i > 0; --i)
      type.shape->push_back(random.below(3) == 0   ? Dim::named("a b")
                            : random.below(3) == 0 ? Dim()
                                                   : Dim(random.below(9)));
    return type;
  };
  for (uint64_t i = random.below(3); i > 0; --i)
    visible.push_back(graph.add_input(fresh(), random_type()));
  for (uint64_t i = random.below(4); i > 0; --i) {
    const DataType kTypes[] = {DataType::kFloat,    DataType::kDouble,
                               DataType::kInt8,     DataType::kUint16,
                               DataType::kBfloat16, DataType::kBool,
                               DataType::kInt64,    DataType::kUint4};
    std::vector<int64_t> dims(random.below(3), 2);
    std::vector<double> values(element_count(dims, "test"));
    for (double& value : values) value = random.normal() * 10;
    visible.push_back(graph.add_initializer(
        fresh(), Tensor::from_doubles(kTypes[random.below(8)], dims, values)));
  }
  for (uint64_t i = 1 + random.below(5); i > 0; --i) {
    std::vector<Value*> inputs, outputs;
    for (uint64_t n = random.below(4); n > 0; --n)
      inputs.push_back(visible.empty() || random.below(5) == 0
                           ? nullptr
                           : visible[random.below(visible.size())]);
    for (uint64_t n = random.below(3); n > 0; --n)
      outputs.push_back(random.below(5) == 0
                            ? nullptr
                            : graph.add_value(fresh(), random_type()));
    Node* node = graph.add_node("Op", inputs, outputs);
    if (random.below(2)) node->name = fresh();
    if (random.below(3) == 0) node->domain = "my.domain";
    if (random.below(2))
      node->set_attr("i", static_cast<int64_t>(random.next()));
    if (random.below(2))
      node->set_attr("f", static_cast<float>(random.normal() * 1e6));
    if (random.below(2))
      node->set_attr("s", std::string(1, static_cast<char>(random.below(256))));
    if (random.below(2))
      node->set_attr("l", std::vector<int64_t>(random.below(3), -7));
    if (random.below(2))
      node->set_attr(
          "fl", std::vector<float>(random.below(3),
                                   std::numeric_limits<float>::infinity()));
    if (depth > 0 && random.below(4) == 0) {
      auto sub = std::make_unique<Graph>();
      Graph* raw = Graph::set_subgraph(node, "body", std::move(sub));
      fill(*raw, visible, random, depth - 1, counter);
    }
    for (Value* value : outputs)
      if (value) visible.push_back(value);
  }
  for (Value* value : visible)
    if (&value->graph() == &graph && random.below(3) == 0)
      graph.add_output(value);
}

TEST_CASE("text_format: random graphs come back as they were") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    Model model;
    model.opset_imports[""] = 17;
    int counter = 0;
    fill(*model.graph, {}, random, /*depth=*/2, counter);
    std::string text = to_text(model);
    Model parsed = parse_text(text);
    verify(*parsed.graph, "test");
    CHECK(to_text(parsed) == text);
    CHECK(to_text(clone(parsed)) == text);
  }
}

TEST_CASE("text_format: random damage gives an error, never a crash") {
  std::string good = kEverything;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Random random(seed);
    std::string text = good.substr(0, 1 + random.below(good.size()));
    for (uint64_t i = random.below(4); i > 0; --i)
      text[random.below(text.size())] = static_cast<char>(random.below(128));
    try {
      Model model = parse_text(text, "g");
      CHECK(!to_text(model).empty());
    } catch (const Error& error) {
      CHECK(error.where().substr(0, 2) == "g:");
    }
  }
}

}  // namespace
}  // namespace lathe::ir
