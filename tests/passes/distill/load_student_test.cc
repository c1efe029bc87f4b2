#include <doctest/doctest.h>

#include "passes/base/error.h"
#include "passes/distill/distill.h"
#include "passes/io/onnx/onnx.h"
#include "passes/pass_context.h"
#include "tests/passes/distill/parsed_graph.h"
#include "tests/support/shared.h"

namespace lathe {
namespace {

const auto parse = lathe::test::parsed_graph;

constexpr const char* kTeacher =
    "input %x: float[N,4] input %m: float[N,4] %h = Add(%x, %m) @sum "
    "%y = Neg(%h) @negative %z = Relu(%h) output %y output %z";

struct Loaded {
  ir::Model model;
  PassResult result;
  std::string file;
};

Loaded load(const std::string& student) {
  const test::TempDir folder;
  Loaded loaded{parse(kTeacher), {}, (folder.path() / "s.onnx").string()};
  io::export_onnx(parse(student), loaded.file);
  PassContext context;
  loaded.result =
      distill::make_load_student(loaded.file)->run(loaded.model, context);
  return loaded;
}

std::vector<std::string> names(const std::vector<ir::Value*>& values) {
  std::vector<std::string> all;
  for (const ir::Value* value : values) all.push_back(value->name());
  return all;
}

std::string refused(const std::string& student) {
  const test::TempDir folder;
  const std::string file = (folder.path() / "s.onnx").string();
  io::export_onnx(parse(student), file);
  ir::Model model = parse(kTeacher);
  const std::string before = ir::to_text(model);
  PassContext context;
  try {
    distill::make_load_student(file)->run(model, context);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kInput);
    CHECK(error.where() == file);
    CHECK(error.hint() == "a student takes and gives what its teacher does");
    CHECK(ir::to_text(model) == before);
    return error.message();
  }
  return "nothing thrown";
}

using Names = std::vector<std::string>;

TEST_CASE("load_student: by name, whatever the order") {
  const Loaded loaded = load(
      "input %m: float[N,4] input %x: float[N,4] %y = Sub(%x, %m) "
      "%z = Tanh(%x) output %z output %y");
  CHECK(names(loaded.model.graph->inputs()) == Names{"m", "x"});
  CHECK(loaded.model.graph->find("y")->producer()->op_type == "Sub");
  CHECK(loaded.result.remarks.empty());
  CHECK(loaded.result.changes == 1);
  CHECK(names(loaded.model.graph->outputs()) == Names{"y", "z"});
}

TEST_CASE("load_student: by order, and it takes over the names") {
  const Loaded loaded = load(
      "input %a: float[N,4] input %b: float[N,4] %y = Sub(%a, %b) "
      "%c = Tanh(%y) %d = Relu(%y) output %c output %d");
  CHECK(names(loaded.model.graph->inputs()) == Names{"x", "m"});
  CHECK(names(loaded.model.graph->outputs()) == Names{"y", "z"});
  CHECK(loaded.model.graph->find("y")->producer()->op_type == "Tanh");
  CHECK(loaded.model.graph->find("y_student")->producer()->op_type == "Sub");
  Names remarks;
  for (const Remark& remark : loaded.result.remarks)
    remarks.push_back(remark.reason);
  CHECK(remarks == Names{"'a' is called 'x' as the teacher's",
                         "'b' is called 'm' as the teacher's",
                         "'c' is called 'y' as the teacher's",
                         "'d' is called 'z' as the teacher's"});
}

TEST_CASE("load_student: names that are exchanged") {
  const Loaded loaded = load(
      "input %m: float[N,4] input %b: float[N,4] %y = Sub(%m, %b) "
      "%z = Relu(%y) output %y output %z");
  CHECK(names(loaded.model.graph->inputs()) == Names{"x", "m"});
  const ir::Node* sub = loaded.model.graph->find("y")->producer();
  CHECK(sub->input(0)->name() == "x");
  CHECK(sub->input(1)->name() == "m");
}

TEST_CASE("load_student: what cannot stand for the teacher") {
  CHECK(refused("input %x: float[N,4] %y = Neg(%x) %z = Relu(%x) output %y "
                "output %z") ==
        "the student's inputs ('x' float[Nx4]) are not the teacher's ('x' "
        "float[Nx4], 'm' float[Nx4])");
  CHECK(refused("input %x: float[N,4] input %m: float[N,5] %y = Neg(%x) "
                "%z = Relu(%m) output %y output %z") ==
        "the student's inputs ('x' float[Nx4], 'm' float[Nx5]) are not the "
        "teacher's ('x' float[Nx4], 'm' float[Nx4])");
  CHECK(refused("input %x: float[N,4] input %m: float[N,4] %h = Add(%x, %m) "
                "%y = Neg(%h) output %y") ==
        "the student's outputs ('y' float[Nx4]) are not the teacher's ('y' "
        "float[Nx4], 'z' float[Nx4])");
  CHECK(refused("input %x: float[N,4] input %m: float[N,4] %y = Add(%x, %m) "
                "%z = ArgMax(%y) {axis = 1} output %y output %z") ==
        "the student's outputs ('y' float[Nx4], 'z' int64[Nx1]) are not the "
        "teacher's ('y' float[Nx4], 'z' float[Nx4])");
  // Of another rank.
  CHECK(refused("input %x: float[N,4] input %m: float[N,4,1] %y = Neg(%x) "
                "%z = Relu(%x) output %y output %z") ==
        "the student's inputs ('x' float[Nx4], 'm' float[Nx4x1]) are not the "
        "teacher's ('x' float[Nx4], 'm' float[Nx4])");
}

TEST_CASE("load_student: a file that is not there") {
  ir::Model model = parse(kTeacher);
  PassContext context;
  CHECK_THROWS_AS(
      distill::make_load_student("/none/s.onnx")->run(model, context), Error);
}

}  // namespace
}  // namespace lathe
