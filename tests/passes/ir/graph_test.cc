#include "passes/ir/graph.h"

#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/ir/text_format.h"

namespace lathe::ir {
namespace {

template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("graph: uses follow every edit") {
  Model model = parse_text(R"(graph {
    input %x: float[2]
    %a = Relu(%x)
    %b = Add(%a, %a)
    output %b
  })");
  Graph& graph = *model.graph;
  Value* a = graph.find("a");
  Value* x = graph.find("x");
  Node* add = graph.find("b")->producer();
  CHECK(a->uses() == std::vector<Use>{{add, 0}, {add, 1}});
  add->set_input(1, x);
  CHECK(a->uses() == std::vector<Use>{{add, 0}});
  CHECK(x->uses().size() == 2);
  add->resize_inputs(1);
  CHECK(x->uses().size() == 1);
  add->set_input(3, x);
  CHECK(add->inputs().size() == 4);
  CHECK(add->input(2) == nullptr);
  verify(graph, "test");
  CHECK(error_of([&] { graph.remove_node(a->producer()); }) ==
        "Relu -> 'a': removed while output 'a' is still used"
        " (this is a bug in Lathe; please report it)");
  add->set_input(0, x);
  graph.remove_node(a->producer());
  CHECK(graph.find("a") == nullptr);
  verify(graph, "test");
}

TEST_CASE("graph: an output keeps its name when its value is replaced") {
  Model model = parse_text(R"(graph {
    input %x: float[2]
    %a = Abs(%x)
    %y: float[2] = Relu(%a)
    output %y
  })");
  Graph& graph = *model.graph;
  Value* y = graph.find("y");
  graph.replace_all_uses(y, graph.find("a"));
  CHECK(graph.outputs()[0]->name() == "y");
  CHECK(graph.outputs()[0]->producer()->op_type == "Abs");
  graph.remove_node(y->producer());
  verify(graph, "test");
}

TEST_CASE("graph: an output that becomes an input gets an Identity") {
  Model model = parse_text(R"(graph {
    input %x: float[2]
    %y: float[2] = Relu(%x)
    output %y
  })");
  Graph& graph = *model.graph;
  Value* y = graph.find("y");
  graph.replace_all_uses(y, graph.find("x"));
  graph.remove_node(y->producer());
  CHECK(to_text(graph) == R"(graph {
  input %x: float[2]
  %y: float[2] = Identity(%x) @y_identity
  output %y
}
)");
  verify(graph, "test");
}

TEST_CASE("graph: uses from subgraphs are whole and end with them") {
  Model model = parse_text(R"(graph {
    input %c: bool[]
    input %x: float[2]
    %r = Relu(%x)
    %y = If(%c) {
      then_branch = graph { %t = Neg(%r) output %t },
      else_branch = graph { output %r }
    }
    output %y
  })");
  Graph& graph = *model.graph;
  Value* r = graph.find("r");
  CHECK(r->uses().size() == 1);
  CHECK(r->output_uses() == 1);
  CHECK(graph.unique_name("t") == "t_2");
  graph.replace_all_uses(r, graph.find("x"));
  CHECK(r->unused());
  CHECK(graph.find("x")->output_uses() == 1);
  graph.remove_node(r->producer());
  verify(graph, "test");
  graph.set_output(0, graph.find("x"));
  graph.remove_node(graph.find("y")->producer());
  CHECK(graph.find("x")->uses().empty());
  CHECK(graph.find("x")->output_uses() == 1);
}

TEST_CASE("graph: names are given once") {
  Graph graph;
  graph.add_input("x", {});
  CHECK(error_of([&] { graph.add_value("x"); }) ==
        "value 'x': is defined twice in one graph");
  CHECK(error_of([&] {
          graph.add_node("Relu", {}, std::vector<Value*>{graph.find("x")});
        }) == "value 'x': is defined twice in one graph");
  CHECK(error_of([&] { graph.rename(graph.add_value("y"), "x"); }) ==
        "value 'y': renamed to the existing 'x'"
        " (this is a bug in Lathe; please report it)");
  // An input may have a default value, once.
  graph.add_initializer("x", Tensor::scalar(1.0f));
  CHECK_FALSE(graph.find("x")->is_constant());
  CHECK(error_of([&] { graph.add_initializer("x", Tensor::scalar(1.0f)); }) ==
        "initializer 'x': has the name of another value");
}

TEST_CASE("graph: attributes of another type are an error of the input") {
  Graph graph;
  Node* node = graph.add_node("Conv", {}, std::vector<std::string>{"y"});
  node->set_attr("group", 2.0f);
  CHECK(error_of([&] { node->attr_int("group", 1); }) ==
        "Conv -> 'y': attribute 'group' is not an integer");
  node->name = "c1";
  CHECK(error_of([&] { node->attr_ints("group"); }) ==
        "Conv 'c1': attribute 'group' is not a list of integers");
  CHECK(node->attr_float("group", 0) == 2);
  CHECK(node->attr_int("strides", 7) == 7);
  node->set_attr("group", int64_t{3});
  CHECK(node->attr_int("group", 1) == 3);
  node->remove_attribute("group");
  CHECK(node->attributes().empty());
}

TEST_CASE("graph: sorting keeps the order where it may") {
  Model model = parse_text(R"(graph {
    input %x: float[2]
    %d = Add(%b, %c)
    %c = Neg(%a)
    %b = Abs(%a)
    %a = Relu(%x)
    output %d
  })");
  model.graph->sort_nodes("m");
  std::string order;
  for (const auto& node : model.graph->nodes()) order += node->op_type + " ";
  CHECK(order == "Relu Neg Abs Add ");
  verify(*model.graph, "test");
}

TEST_CASE("graph: a cycle is named") {
  Model model = parse_text(R"(graph {
    input %x: float[2]
    %a = Add(%x, %c) @first
    %b = Relu(%a) @second
    %c = Neg(%b) @third
    output %c
  })");
  std::string error = error_of([&] { model.graph->sort_nodes("m.onnx"); });
  CHECK(error ==
        "m.onnx: the graph has a cycle through Relu 'second' -> Neg 'third' "
        "-> Add 'first' (an ONNX graph must be acyclic; export the model "
        "again)");
}

TEST_CASE("graph: a cycle through a subgraph is found too") {
  Model model = parse_text(R"(graph {
    input %c: bool[]
    %y = If(%c) {then_branch = graph { %t = Neg(%c) output %t }} @if
    %z = Relu(%y) @relu
    output %z
  })");
  Node* branch = model.graph->find("y")->producer();
  Node* inner = branch->subgraphs()[0]->node_list()[0];
  inner->set_input(0, model.graph->find("z"));
  CHECK(error_of([&] { model.graph->sort_nodes("m"); }) ==
        "m: the graph has a cycle through Relu 'relu' -> If 'if' (an ONNX "
        "graph must be acyclic; export the model again)");
}

TEST_CASE("graph: random sorts give an order that verifies") {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Random random(seed);
    Graph graph;
    std::vector<Value*> values{graph.add_input("x", {})};
    std::vector<Node*> nodes;
    for (int i = 0; i < 30; ++i) {
      Node* node = graph.add_node("Add",
                                  {values[random.below(values.size())],
                                   values[random.below(values.size())]},
                                  {"v" + std::to_string(i)});
      values.push_back(node->output());
      nodes.push_back(node);
    }
    graph.add_output(values.back());
    random.shuffle(nodes);
    for (Node* node : nodes) graph.move_before(node, nullptr);
    graph.sort_nodes("test");
    verify(graph, "test");
  }
}

TEST_CASE("graph: a clone is equal and independent") {
  Model model = parse_text(R"(opset 17
graph g {
  input %c: bool[]
  input %x: float[2]
  init %w = float[2] {1, 2}
  %a: float[2] = Add(%x, %w) @add
  %y: float[2] = If(%c) {
    then_branch = graph {
      %t: float[2] = Neg(%a)
      output %t
    },
    else_branch = graph {
      output %a
    }
  } @if
  output %y
}
)");
  std::string before = to_text(model);
  Model copy = clone(model);
  CHECK(to_text(copy) == before);
  verify(*copy.graph, "test");
  CHECK(copy.graph->find("w")->tensor().bytes().data() ==
        model.graph->find("w")->tensor().bytes().data());
  copy.graph->find("a")->producer()->set_input(1, copy.graph->find("x"));
  copy.graph->rename(copy.graph->find("y"), "other");
  CHECK(to_text(model) == before);
  verify(*model.graph, "test");
}

TEST_CASE("graph: verify finds what edits must not leave behind") {
  Model model = parse_text(R"(graph {
    input %x: float[2]
    %a = Relu(%b) @early
    %b = Abs(%x)
    output %a
  })");
  CHECK(error_of([&] { verify(*model.graph, "some_pass"); }) ==
        "some_pass: Relu 'early' uses 'b' before it is defined"
        " (this is a bug in Lathe; please report it)");
}

}  // namespace
}  // namespace lathe::ir
