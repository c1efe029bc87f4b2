// Calls ATen operators on tensors that have an identity: what in-place
// operators do to a tensor is seen through every other name and every view of
// it, as PyTorch programs expect, although ONNX values never change.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "passes/io/torch/aten/argument.h"
#include "passes/io/torch/aten/aten_call.h"
#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {

using NamedArguments = std::vector<std::pair<std::string, Argument>>;

// A tensor's identity. A view keeps the call that makes it out of its base, so
// that it can be made again after the base has changed, and be written to.
struct Cell {
  ir::Value* value = nullptr;
  int64_t version = 0;
  // Of a view.
  std::shared_ptr<Cell> base;
  int depth = 0;  // how many views lie between it and the tensor itself
  int64_t base_version = 0;
  std::string view_name, view_overload;
  NamedArguments view_arguments;  // without the base itself
  std::string base_argument;      // the name it is passed as
  size_t view_item = 0;           // which of a returned list
};

class Tracer {
 public:
  explicit Tracer(OnnxBuilder& builder) : builder_(builder) {}

  OnnxBuilder& builder() { return builder_; }

  // A tensor with an identity of its own.
  Argument wrap(ir::Value* value);
  // The tensor's value now.
  ir::Value* read(const Argument& tensor);
  // The argument with every tensor's `value` brought up to date.
  Argument refreshed(const Argument& argument);
  // Makes `value` the tensor's content, through all views. Cast to the
  // tensor's element type, expanded to its shape where it is smaller.
  void write(const Argument& tensor, ir::Value* value);

  // Calls "conv2d", or in place "add_". Results are wrapped. Error
  // kUnsupported, naming the operator, when the table has no such row.
  Arguments call(const std::string& name, const std::string& overload,
                 NamedArguments arguments);

  // A branch that may not run: between the two calls, what is done to tensors
  // is recorded. end_branch(), called with the branch's graph still open, takes
  // it all back and returns what tensors from outside that have no base would
  // hold, so that the caller can choose between two branches. Values that the
  // branch gives back must be read before.
  using Written = std::vector<std::pair<std::shared_ptr<Cell>, ir::Value*>>;
  void begin_branch() { branches_.emplace_back(); }
  Written end_branch();
  void write_cell(const std::shared_ptr<Cell>& cell, ir::Value* value);

 private:
  ir::Value* current(const std::shared_ptr<Cell>& cell);
  void remember(const std::shared_ptr<Cell>& cell);
  static bool copies(const std::string& name, const Cell& base);
  ir::Value* into_base(const Cell& view, ir::Value* base, ir::Value* value);
  Arguments wrap_results(Arguments results, const std::string& name,
                         const std::string& overload,
                         const NamedArguments& arguments);

  OnnxBuilder& builder_;
  int64_t last_version_ = 0;
  // Cells as they were when the branch began, in order of their first change.
  using Branch = std::vector<std::pair<std::shared_ptr<Cell>, Cell>>;
  std::vector<Branch> branches_;
};

}  // namespace lathe::io::aten
