// A model with one node under test, for tests of shapes and costs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "passes/ir/op_table.h"
#include "passes/ir/shape_inference.h"

namespace lathe::ir::test {

// "N" style letters name dimensions, "?" is unknown: shape({2, "N", "?"}).
struct TestDim {
  Dim dim;
  TestDim(int value) : dim(value) {}  // NOLINT: reads as a number
  TestDim(const char* name)           // NOLINT: reads as a name
      : dim(std::string(name) == "?" ? Dim() : Dim::named(name)) {}
};

inline Shape shape(const std::vector<TestDim>& dims) {
  Shape result;
  for (const TestDim& dim : dims) result.push_back(dim.dim);
  return result;
}

class Fixture {
 public:
  explicit Fixture(int64_t opset = 17) { model.opset_imports[""] = opset; }

  Value* input(const std::vector<TestDim>& dims,
               DataType elem = DataType::kFloat) {
    ValueType type;
    type.elem = elem;
    type.shape = shape(dims);
    return add_input(type);
  }
  Value* input_of_unknown_rank(DataType elem = DataType::kFloat) {
    ValueType type;
    type.elem = elem;
    return add_input(type);
  }
  Value* ints(const std::vector<int64_t>& values) {
    return constant(Tensor::vector_i64(values));
  }
  Value* floats(const std::vector<float>& values) {
    return constant(
        Tensor::from<float>({static_cast<int64_t>(values.size())}, values));
  }
  Value* scalar(int64_t value) {
    return constant(Tensor::scalar<int64_t>(value));
  }
  Value* constant(Tensor tensor) {
    return model.graph->add_constant("c", std::move(tensor));
  }
  Node* node(const std::string& op, std::vector<Value*> inputs,
             size_t outputs = 1, const std::string& domain = "") {
    std::vector<std::string> names(outputs, "y");
    Node* added = model.graph->add_node(op, std::move(inputs), names);
    added->name = "n";
    added->domain = domain;
    return added;
  }
  Value* chain(const std::string& op, std::vector<Value*> inputs) {
    Node* added = node(op, std::move(inputs));
    added->name.clear();
    return added->output();
  }
  // Infers and shows the node's output type.
  std::string type(const Node* node, size_t output = 0) {
    infer_shapes(model);
    return to_string(node->output(output)->type);
  }
  std::string type(const Value* value) {
    infer_shapes(model);
    return to_string(value->type);
  }
  // The message that inference ends with, or "".
  std::string error() {
    try {
      infer_shapes(model);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  Model model;

 private:
  Value* add_input(ValueType type) {
    return model.graph->add_input(model.graph->unique_name("x"),
                                  std::move(type));
  }
};

using Ints = std::vector<int64_t>;

}  // namespace lathe::ir::test
