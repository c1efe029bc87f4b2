#include <doctest/doctest.h>

#include "passes/ir/text_format.h"
#include "tests/passes/io/torch/exported/exported_program_fixture.h"

namespace lathe {
namespace {

using test::argument_json;
using test::int_argument;
using test::ProgramText;
using test::sym_argument;
using test::sym_int_json;
using test::tensor_argument;
using test::tensor_json;
using test::vector_of;

std::string graph_argument(const ProgramText& graph) {
  return argument_json(
      "", R"({"as_graph": {"name": "g", "graph": )" + graph.graph() + "}}");
}

std::string tensors_argument(const std::vector<std::string>& names) {
  std::string items;
  for (const std::string& name : names)
    items += (items.empty() ? "" : ", ") + ("{\"name\": \"" + name + "\"}");
  return argument_json("", "{\"as_tensors\": [" + items + "]}");
}

std::string tensors_json(const std::string& name) {
  return R"({"as_tensors": [{"name": ")" + name + R"("}]})";
}

// A branch or a loop body on one tensor: target(self, other).
ProgramText one_node(const std::string& target, const std::string& other,
                     int dtype = 7) {
  ProgramText graph;
  graph.user_input("a", {"3"});
  graph.node(target,
             {tensor_argument("self", "a"), argument_json("other", other)}, "r",
             {"3"}, dtype);
  graph.user_output("r");
  return graph;
}

ProgramText choice(const ProgramText& yes, const ProgramText& no) {
  ProgramText program;
  program.user_input("c", {}, 12);
  program.user_input("x", {"3"});
  program.values.push_back("\"y\": " + test::meta_json({"3"}));
  program.node_json("torch.ops.higher_order.cond",
                    {tensor_argument("", "c"), graph_argument(yes),
                     graph_argument(no), tensors_argument({"x"})},
                    tensors_json("y"));
  program.user_output("y");
  return program;
}

TEST_CASE("exported program: cond is If") {
  const ProgramText twice =
      one_node("torch.ops.aten.mul.Tensor", "{\"as_int\": 2}");
  ProgramText same;
  same.user_input("a", {"3"});
  same.user_output("a");
  const ir::Model model = test::import_program(choice(twice, same)).model;
  CHECK(ir::to_text(model) == R"(ir_version 8
opset 17
producer "lathe" ""
graph main {
  input %c: bool[]
  input %x: float[3]
  init %constant = float[] {2}
  %y: float[3] = If(%c) {
    then_branch = graph then_branch {
      %Mul: float[3] = Mul(%x, %constant) @Mul
      output %Mul
    },
    else_branch = graph else_branch {
      %Identity: float[3] = Identity(%x) @Identity
      output %Identity
    }
  } @If
  output %y
}
)");
  const ir::Tensor x = vector_of({1, 2, 3});
  CHECK(test::run_model(model, {ir::Tensor::scalar(true), x})[0].to_floats() ==
        std::vector<float>{2, 4, 6});
  CHECK(test::run_model(model, {ir::Tensor::scalar(false), x})[0].to_floats() ==
        std::vector<float>{1, 2, 3});

  const ProgramText writes =
      one_node("torch.ops.aten.mul_.Tensor", "{\"as_int\": 2}");
  CHECK(test::program_error(test::program_entries(choice(writes, same))) ==
        "net.pt2: torch.ops.higher_order.cond: one of its graphs writes to a "
        "tensor made outside it (return the new value instead)");
}

TEST_CASE("exported program: while_loop is Loop") {
  ProgramText test_graph;
  test_graph.user_input("i", {}, 5);
  test_graph.user_input("a", {"3"});
  test_graph.node("torch.ops.aten.lt.Scalar",
                  {tensor_argument("self", "i"), int_argument("other", 4)},
                  "go", {}, 12);
  test_graph.user_output("go");
  ProgramText body;
  body.user_input("i", {}, 5);
  body.user_input("a", {"3"});
  body.node("torch.ops.aten.add.Tensor",
            {tensor_argument("self", "i"), int_argument("other", 1)}, "j", {},
            5);
  body.node("torch.ops.aten.mul.Tensor",
            {tensor_argument("self", "a"), int_argument("other", 2)}, "b",
            {"3"});
  body.user_output("j");
  body.user_output("b");
  ProgramText program;
  program.user_input("count", {}, 5);
  program.user_input("x", {"3"});
  program.values.push_back("\"n\": " + test::meta_json({}, 5));
  program.values.push_back("\"y\": " + test::meta_json({"3"}));
  program.node_json("torch.ops.higher_order.while_loop",
                    {graph_argument(test_graph), graph_argument(body),
                     tensors_argument({"count", "x"}), tensors_argument({})},
                    tensor_json("n") + ", " + tensor_json("y"));
  program.user_output("n");
  program.user_output("y");
  const ir::Model model = test::import_program(program).model;
  const auto run = [&](int64_t count) {
    return test::run_model(model,
                           {ir::Tensor::scalar(count), vector_of({1, 2, 3})});
  };
  CHECK(run(1)[0].to_int64s() == std::vector<int64_t>{4});
  CHECK(run(1)[1].to_floats() == std::vector<float>{8, 16, 24});
  CHECK(run(9)[1].to_floats() == std::vector<float>{1, 2, 3});
}

TEST_CASE("exported program: a loop in a loop's condition") {
  const ProgramText body =
      one_node("torch.ops.aten.mul.Tensor", "{\"as_int\": 2}");
  const auto loop = [&](const ProgramText& condition, const std::string& name) {
    ProgramText graph;
    graph.user_input("a", {"3"});
    graph.node_json("torch.ops.higher_order.while_loop",
                    {graph_argument(condition), graph_argument(body),
                     tensors_argument({"a"})},
                    tensors_json(name));
    graph.user_output(name);
    return graph;
  };
  ProgramText any;
  any.user_input("a", {"3"});
  any.node("torch.ops.aten.any.default", {tensor_argument("self", "a")}, "any",
           {}, 12);
  any.user_output("any");
  CHECK(test::program_error(
            test::program_entries(loop(loop(any, "inner"), "outer"))) ==
        "net.pt2: torch.ops.higher_order.while_loop: is part of another "
        "loop's condition");
}

TEST_CASE("exported program: a wrapper's graph is written in place") {
  const ProgramText twice =
      one_node("torch.ops.aten.mul.Tensor", "{\"as_int\": 2}");
  const auto wrapped = [&](const std::string& target,
                           std::vector<std::string> arguments) {
    arguments.push_back(graph_argument(twice));
    arguments.push_back(tensor_argument("", "x"));
    ProgramText program;
    program.user_input("x", {"3"});
    program.values.push_back("\"y\": " + test::meta_json({"3"}));
    program.node_json(target, arguments, tensors_json("y"));
    program.user_output("y");
    return program;
  };
  const std::string off = argument_json("", "{\"as_bool\": false}");
  const std::string on = argument_json("", "{\"as_bool\": true}");
  const std::string cpu = argument_json("", "{\"as_string\": \"cpu\"}");
  const std::string none = argument_json("", "{\"as_none\": true}");
  const std::string text = R"(ir_version 8
opset 17
producer "lathe" ""
graph main {
  input %x: float[3]
  init %constant = float[] {2}
  %y: float[3] = Mul(%x, %constant) @Mul
  output %y
}
)";
  const auto renamed = [](ir::Model model) {
    model.graph->rename(model.graph->outputs()[0], "y");
    return ir::to_text(model);
  };
  CHECK(renamed(test::import_program(
                    wrapped("torch.ops.higher_order.wrap_with_set_grad_enabled",
                            {off}))
                    .model) == text);
  const std::string autocast = "torch.ops.higher_order.wrap_with_autocast";
  CHECK(renamed(test::import_program(wrapped(autocast, {cpu, none, off, none}))
                    .model) == text);
  CHECK(test::program_error(
            test::program_entries(wrapped(autocast, {cpu, none, on, none}))) ==
        "net.pt2: torch.ops.higher_order.wrap_with_autocast: runs its "
        "operators under autocast, which chooses their element types unseen "
        "(export the model without autocast)");
}

TEST_CASE("exported program: graphs that nest too deeply") {
  ProgramText inner = one_node("torch.ops.aten.mul.Tensor", "{\"as_int\": 2}");
  for (int i = 0; i < 70; ++i) {
    ProgramText outer;
    outer.user_input("a", {"3"});
    outer.values.push_back("\"r\": " + test::meta_json({"3"}));
    outer.node_json("torch.ops.higher_order.wrap",
                    {graph_argument(inner), tensor_argument("", "a")},
                    tensor_json("r"));
    outer.user_output("r");
    inner = outer;
  }
  std::string place;
  for (int i = 0; i < 65; ++i) place += "/nodes/0/inputs/0/arg/as_graph/graph";
  CHECK(test::program_error(test::program_entries(inner)) ==
        "net.pt2: serialized_exported_program.json: /graph_module/graph" +
            place + ": graphs nest deeper than 64 levels");
}

TEST_CASE("exported program: state goes in and comes out") {
  ProgramText program;
  const std::string total = program.buffer("total", {"2"});
  const std::string counter = program.buffer("bn.num_batches_tracked", {"2"});
  program.user_input("x", {"2"});
  program.node("torch.ops.aten.add_.Tensor",
               {tensor_argument("self", total), tensor_argument("other", "x")},
               "add_", {"2"});
  program.node(
      "torch.ops.aten.add_.Tensor",
      {tensor_argument("self", counter), tensor_argument("other", "x")},
      "add__1", {"2"});
  program.node("torch.ops.aten.mul.Tensor",
               {tensor_argument("self", total), int_argument("other", 2)},
               "mul", {"2"});
  program.user_output("mul");
  const std::vector<test::SavedTensor> weights{
      {"total", {2}, {10, 20}}, {"bn.num_batches_tracked", {2}, {0, 0}}};
  const std::string text = R"(ir_version 8
opset 17
producer "lathe" ""
graph main {
  input %x: float[2]
  input %total: float[2] = float[2] {10, 20}
  init %constant = float[] {2}
  %total_next: float[2] = Add(%total, %x) @Add
  %mul: float[2] = Mul(%total_next, %constant) @Mul
  output %mul
  output %total_next
}
)";
  const std::vector<std::string> notes{
      "state 'total' is changed by the program: its new value is output "
      "'total_next'"};
  const io::Imported in_place = test::import_program(program, weights);
  CHECK(ir::to_text(in_place.model) == text);
  CHECK(in_place.notes == notes);

  // The same after run_decompositions().
  ProgramText functional;
  functional.buffer("total", {"2"});
  functional.user_input("x", {"2"});
  functional.node(
      "torch.ops.aten.add.Tensor",
      {tensor_argument("self", total), tensor_argument("other", "x")}, "add",
      {"2"});
  functional.node("torch.ops.aten.mul.Tensor",
                  {tensor_argument("self", "add"), int_argument("other", 2)},
                  "mul", {"2"});
  functional.output_specs.push_back(
      R"({"buffer_mutation": {"arg": {"name": "add"}, )"
      R"("buffer_name": "total"}})");
  functional.user_output("mul");
  const io::Imported pure = test::import_program(functional, weights);
  CHECK(ir::to_text(pure.model) == text);
  CHECK(pure.notes == notes);
}

TEST_CASE("exported program: an input that is written to") {
  ProgramText program;
  program.user_input("x", {"2"});
  program.node("torch.ops.aten.mul_.Tensor",
               {tensor_argument("self", "x"), int_argument("other", 2)}, "mul_",
               {"2"});
  program.node("torch.ops.aten.add.Tensor",
               {tensor_argument("self", "x"), int_argument("other", 1)}, "add",
               {"2"});
  program.user_output("add");
  const io::Imported imported = test::import_program(program);
  const auto outputs = test::run_model(imported.model, {vector_of({1, 2})});
  CHECK(outputs.at(0).to_floats() == std::vector<float>{3, 5});
  CHECK(outputs.at(1).to_floats() == std::vector<float>{2, 4});
  CHECK(imported.model.graph->outputs()[1]->name() == "x_next");
  CHECK(imported.notes ==
        std::vector<std::string>{"input 'x' is changed by the program: its "
                                 "new value is output 'x_next'"});
}

TEST_CASE("exported program: constants in, and outputs of every kind") {
  ProgramText program;
  program.user_input("x", {"s0"});
  program.input_specs.push_back(
      R"({"constant_input": {"name": "scale", "value": {"as_float": 0.5}}})");
  program.input_specs.push_back(
      R"({"constant_input": {"name": "mask", "value": {"as_none": true}}})");
  program.sym_node("torch.ops.aten.sym_size.int",
                   {tensor_argument("self", "x"), int_argument("dim", 0)}, "n");
  program.node("torch.ops.aten.mul.Tensor",
               {tensor_argument("self", "x"),
                argument_json("other", "{\"as_float\": -Infinity}")},
               "mul", {"s0"});
  program.user_output("mul");
  program.user_output("x");
  program.user_output("mul");
  program.output_specs.push_back(R"({"user_output": {"arg": )" +
                                 sym_int_json("n") + "}}");
  program.output_specs.push_back(
      R"({"user_output": {"arg": {"as_none": true}}})");
  program.output_specs.push_back(R"({"user_output": {"arg": {"as_int": 3}}})");
  const io::Imported imported = test::import_program(program);
  CHECK(imported.notes ==
        std::vector<std::string>{
            "input 'scale' is 0.5, as the program was exported with it",
            "input 'mask' is None, as the program was exported with it",
            "output 4 is always None and left out"});
  CHECK(ir::to_text(imported.model) == R"(ir_version 8
opset 17
producer "lathe" ""
graph main {
  input %x: float[batch]
  init %constant = int64[] {0}
  init %constant_2 = float[] {-inf}
  init %constant_3 = int64[] {3}
  %Shape: int64[1] = Shape(%x) @Shape
  %n: int64[] = Gather(%Shape, %constant) @Gather
  %mul: float[batch] = Mul(%x, %constant_2) @Mul
  %x_2: float[batch] = Identity(%x) @x/Identity
  %mul_2: float[batch] = Identity(%mul) @mul/Identity
  %output_5: int64[] = Identity(%constant_3) @output_5/Identity
  output %mul
  output %x_2
  output %mul_2
  output %n
  output %output_5
}
)");
}

TEST_CASE("exported program: symbols name dimensions") {
  const auto input_type = [](const std::vector<std::string>& sizes) {
    ProgramText program;
    program.user_input("x", sizes);
    program.node("torch.ops.aten.relu.default", {tensor_argument("self", "x")},
                 "relu", sizes);
    program.user_output("relu");
    const ir::Model model = test::import_program(program).model;
    return ir::to_string(model.graph->inputs()[0]->type);
  };
  const std::string s0 = "Symbol('s0', positive=True, integer=True)";
  const std::string s1 = "Symbol('s1', positive=True, integer=True)";
  CHECK(input_type({s0, s1, s0}) == "float[batch,s1,batch]");
  CHECK(input_type({"3", s0}) == "float[3,s0]");
  CHECK(input_type({"Mul(Integer(2), " + s0 + ")", s0}) == "float[?,s0]");
  CHECK(input_type({"2*s0", "s77"}) == "float[?,s77]");
}

TEST_CASE("exported program: checks give no nodes, item gives a number") {
  ProgramText program;
  program.user_input("x", {"3"});
  program.user_input("i", {}, 5);
  program.node_json("torch.ops.aten._assert_tensor_metadata.default",
                    {tensor_argument("a", "x")}, "");
  program.node_json("torch.ops.aten._local_scalar_dense.default",
                    {tensor_argument("self", "i")}, sym_int_json("n"));
  program.node_json("torch.ops.aten.sym_constrain_range_for_size.default",
                    {sym_argument("size", "n")}, "");
  program.node("torch.ops.aten.mul.Tensor",
               {tensor_argument("self", "x"), sym_argument("other", "n")},
               "mul", {"3"});
  program.user_output("mul");
  const ir::Model model = test::import_program(program).model;
  CHECK(test::run_model(
            model, {vector_of({1, 2, 3}), ir::Tensor::scalar<int64_t>(3)})[0]
            .to_floats() == std::vector<float>{3, 6, 9});
  CHECK(model.graph->nodes().size() == 2);  // Cast and Mul
}

TEST_CASE("exported program: squeeze keeps an axis of a symbolic size") {
  ProgramText program;
  program.user_input("x", {"s0", "1", "3"});
  program.node("torch.ops.aten.squeeze.dims",
               {tensor_argument("self", "x"),
                argument_json("dim", "{\"as_ints\": [0, 1]}")},
               "squeeze", {"s0", "3"});
  program.user_output("squeeze");
  const ir::Model model = test::import_program(program).model;
  CHECK(ir::to_string(model.graph->outputs()[0]->type) == "float[batch,3]");
}

// PyTorch 2.6 says that these are integers and have a dimension too many.
TEST_CASE("exported program: types that PyTorch is known to mistake") {
  ProgramText program;
  program.user_input("x", {"s0"}, 5);
  program.node("torch.ops.aten.div.Tensor",
               {tensor_argument("self", "x"), int_argument("other", 2)}, "div",
               {"s0"}, 5);
  program.user_output("div");
  const ir::Model model = test::import_program(program).model;
  CHECK(ir::to_string(model.graph->outputs()[0]->type) == "float[batch]");
  CHECK(test::run_model(model, {ir::Tensor::vector_i64({3})})[0].to_floats() ==
        std::vector<float>{1.5});
}

TEST_CASE("exported program: operators of prims") {
  ProgramText program;
  program.user_input("x", {"3"});
  program.node("torch.ops.prims.convert_element_type.default",
               {tensor_argument("a", "x"),
                argument_json("dtype", "{\"as_scalar_type\": 8}")},
               "wide", {"3"}, 8);
  program.node("torch.ops.prims.broadcast_in_dim.default",
               {tensor_argument("a", "wide"),
                argument_json("shape", "{\"as_ints\": [2, 3, 4]}"),
                argument_json("broadcast_dimensions", "{\"as_ints\": [1]}")},
               "spread", {"2", "3", "4"}, 8);
  program.user_output("spread");
  const ir::Model model = test::import_program(program).model;
  const auto spread =
      test::run_model(model, {vector_of({1, 2, 3})}).at(0).to_doubles();
  REQUIRE(spread.size() == 24);
  CHECK(spread[0] == 1);
  CHECK(spread[4] == 2);
  CHECK(spread[23] == 3);
}

}  // namespace
}  // namespace lathe
