#include <doctest/doctest.h>

#include <cctype>

#include "tests/passes/io/torch/exported/exported_program_fixture.h"

namespace lathe {
namespace {

using test::int_argument;
using test::ProgramText;
using test::sym_argument;
using test::tensor_argument;

// A program that gives x * n, where n is computed from the size of x by
// `steps`: Python functions with the names of their operands.
struct Step {
  std::string target, result;
  std::vector<std::string> operands;
};

ProgramText scaled(const std::vector<Step>& steps) {
  ProgramText program;
  program.user_input("x", {"s0"});
  program.sym_node("torch.ops.aten.sym_size.int",
                   {tensor_argument("self", "x"), int_argument("dim", -1)},
                   "n");
  for (const Step& step : steps) {
    std::vector<std::string> arguments;
    for (const std::string& operand : step.operands)
      arguments.push_back(std::isalpha(operand[0])
                              ? sym_argument("a", operand)
                              : int_argument("a", std::stoll(operand)));
    program.sym_node(step.target, arguments, step.result);
  }
  program.node("torch.ops.aten.mul.Tensor",
               {tensor_argument("self", "x"),
                sym_argument("other", steps.back().result)},
               "mul", {"s0"});
  program.user_output("mul");
  return program;
}

// What `steps` make of a size of 7.
float of_seven(const std::vector<Step>& steps) {
  const ir::Model model = test::import_program(scaled(steps)).model;
  return test::run_model(model, {test::vector_of(std::vector<float>(7, 1))})
      .at(0)
      .to_floats()
      .at(0);
}

TEST_CASE("exported program: arithmetic on sizes") {
  CHECK(of_seven({{"_operator.add", "r", {"n", "5"}}}) == 12);
  CHECK(of_seven({{"_operator.sub", "r", {"2", "n"}}}) == -5);
  CHECK(of_seven({{"_operator.mul", "r", {"n", "n"}}}) == 49);
  CHECK(of_seven({{"_operator.floordiv", "r", {"n", "2"}}}) == 3);
  CHECK(of_seven({{"_operator.pow", "r", {"n", "2"}}}) == 49);
  CHECK(of_seven({{"_operator.mod", "r", {"n", "4"}}}) == 3);
  CHECK(of_seven({{"_operator.neg", "r", {"n"}}}) == -7);
  CHECK(of_seven({{"torch.sym_max", "r", {"n", "9"}}}) == 9);
  CHECK(of_seven({{"torch.sym_min", "r", {"n", "9"}}}) == 7);
  // Python rounds down, and gives the rest the divisor's sign.
  CHECK(of_seven({{"_operator.neg", "m", {"n"}},
                  {"_operator.floordiv", "r", {"m", "2"}}}) == -4);
  CHECK(of_seven({{"_operator.neg", "m", {"n"}},
                  {"_operator.mod", "r", {"m", "4"}}}) == 1);
  CHECK(of_seven({{"_operator.truediv", "q", {"n", "2"}},
                  {"math.ceil", "r", {"q"}}}) == 4);
  CHECK(of_seven({{"_operator.truediv", "q", {"n", "2"}},
                  {"math.floor", "r", {"q"}}}) == 3);
  CHECK(of_seven({{"torch.sym_float", "f", {"n"}},
                  {"_operator.truediv", "q", {"f", "2"}},
                  {"torch.sym_int", "r", {"q"}}}) == 3);
  CHECK(of_seven({{"_operator.ge", "c", {"n", "7"}},
                  {"torch.sym_ite", "r", {"c", "n", "1"}}}) == 7);
  CHECK(of_seven({{"_operator.ne", "c", {"n", "7"}},
                  {"torch.sym_not", "d", {"c"}},
                  {"torch.sym_ite", "r", {"d", "5", "1"}}}) == 5);
}

TEST_CASE("exported program: constant arithmetic leaves no nodes") {
  const auto nodes = [](const std::vector<Step>& steps) {
    const ir::Model model = test::import_program(scaled(steps)).model;
    std::string types;
    for (const auto& node : model.graph->nodes()) types += node->op_type + " ";
    return types;
  };
  CHECK(nodes({{"_operator.floordiv", "r", {"-7", "2"}}}) == "Mul ");
  CHECK(nodes({{"_operator.mul", "m", {"n", "1"}},
               {"_operator.add", "r", {"m", "0"}}}) ==
        "Shape Gather Cast Mul ");
  const auto error = [](const std::vector<Step>& steps) {
    return test::program_error(test::program_entries(scaled(steps)));
  };
  CHECK(error({{"_operator.floordiv", "r", {"n", "0"}}}) ==
        "net.pt2: _operator.floordiv: divides by zero");
  CHECK(error({{"_operator.pow", "r", {"10", "30"}}}) ==
        "net.pt2: _operator.pow: pow(10, 30) has no int of 64 bits as its "
        "value");
  CHECK(error({{"_operator.add", "r", {"n"}}}) ==
        "net.pt2: _operator.add: has 1 operands, expected 2");
}

}  // namespace
}  // namespace lathe
