// load_student: the model becomes another one, which learns from it.
#include <fmt/format.h>

#include <algorithm>

#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/distill/distill.h"
#include "passes/io/import.h"

namespace lathe::distill {
namespace {

using Values = std::vector<ir::Value*>;

std::string show(const ir::Value& value) {
  return fmt::format(
      "'{}' {}{}", value.name(), ir::to_string(value.type.elem),
      value.type.shape ? "[" + ir::to_string(*value.type.shape) + "]" : "");
}

std::string show(const Values& values) {
  std::vector<std::string> texts;
  for (const ir::Value* value : values) texts.push_back(show(*value));
  return values.empty() ? "none" : join(texts, ", ");
}

bool may_equal(const ir::Dim& a, const ir::Dim& b) {
  return !a.known() || !b.known() || a.value == b.value;
}

bool fits(const ir::Value& student, const ir::Value& teacher) {
  if (student.type.elem != ir::DataType::kUndefined &&
      teacher.type.elem != ir::DataType::kUndefined &&
      student.type.elem != teacher.type.elem)
    return false;
  if (!student.type.shape || !teacher.type.shape) return true;
  return std::equal(student.type.shape->begin(), student.type.shape->end(),
                    teacher.type.shape->begin(), teacher.type.shape->end(),
                    may_equal);
}

// Which of the student's stands for each of the teacher's.
Values match(const Values& students, const Values& teachers, const char* what,
             const std::string& file) {
  Values matched;
  const bool named = std::all_of(
      teachers.begin(), teachers.end(), [&](const ir::Value* teacher) {
        return std::any_of(students.begin(), students.end(),
                           [&](const ir::Value* student) {
                             return student->name() == teacher->name();
                           });
      });
  bool good = students.size() == teachers.size();
  for (size_t i = 0; good && i < teachers.size(); ++i) {
    ir::Value* student = students[i];
    if (named)
      student = *std::find_if(students.begin(), students.end(),
                              [&](const ir::Value* value) {
                                return value->name() == teachers[i]->name();
                              });
    good = fits(*student, *teachers[i]);
    matched.push_back(student);
  }
  if (!good)
    throw Error(ErrorKind::kInput, file,
                fmt::format("the student's {} ({}) are not the teacher's ({})",
                            what, show(students), show(teachers)),
                "a student takes and gives what its teacher does");
  return matched;
}

Values free_inputs(const ir::Graph& graph) {
  Values inputs;
  for (ir::Value* input : graph.inputs())
    if (!input->has_initializer()) inputs.push_back(input);
  return inputs;
}

// The student's values take the teacher's names; outputs, its order.
void rename(ir::Graph& graph, const Values& students, const Values& teachers,
            PassResult& result) {
  for (size_t i = 0; i < students.size(); ++i) {
    const std::string name = teachers[i]->name(), old = students[i]->name();
    if (old == name) continue;
    if (ir::Value* other = graph.find(name))
      graph.rename(other, graph.unique_name(name + "_student"));
    graph.rename(students[i], name);
    result.remarks.push_back(
        {"", fmt::format("'{}' is called '{}' as the teacher's", old, name)});
  }
}

class LoadStudent final : public Pass {
 public:
  explicit LoadStudent(std::filesystem::path path) : path_(std::move(path)) {}

  std::string name() const override { return "load_student"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    io::Imported imported = io::import_model(path_, {context.input_shapes});
    PassResult result;
    for (const std::string& note : imported.notes)
      result.remarks.push_back({"", note});
    ir::Graph& student = *imported.model.graph;
    const ir::Graph& teacher = *model.graph;
    const std::string file = path_.string();
    const Values inputs = free_inputs(teacher);
    rename(student, match(free_inputs(student), inputs, "inputs", file), inputs,
           result);
    const Values outputs =
        match(student.outputs(), teacher.outputs(), "outputs", file);
    rename(student, outputs, teacher.outputs(), result);
    for (size_t i = 0; i < outputs.size(); ++i)
      student.set_output(i, outputs[i]);
    model = std::move(imported.model);
    result.changes = 1;
    return result;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace

std::unique_ptr<Pass> make_load_student(std::filesystem::path path) {
  return std::make_unique<LoadStudent>(std::move(path));
}

}  // namespace lathe::distill
