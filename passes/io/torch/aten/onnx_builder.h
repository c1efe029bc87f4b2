// Adds nodes to the graph that a PyTorch program is translated into. Every
// node's output types are inferred as it is added, so that what is written
// next can ask for ranks, sizes and element types.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "passes/base/error.h"
#include "passes/io/torch/aten/argument.h"
#include "passes/ir/graph.h"
#include "passes/ir/infer_context.h"

namespace lathe::io::aten {

using AttributeValue =
    std::variant<int64_t, float, std::string, std::vector<int64_t>,
                 std::vector<float>, ir::Tensor>;
using NamedAttributes = std::vector<std::pair<const char*, AttributeValue>>;

// What to do where a size or a rank must be known.
inline constexpr char kShapeHint[] =
    "give the inputs' shapes with --input-shape";

class OnnxBuilder {
 public:
  // The opset that nodes are written for.
  static constexpr int64_t kOpset = 17;

  explicit OnnxBuilder(ir::Model& model);

  ir::Model& model() { return model_; }
  // Where nodes are added: the main graph, or the innermost open subgraph.
  ir::Graph& graph() { return *graphs_.back(); }
  ir::Graph& main_graph() { return *graphs_.front(); }
  void enter(ir::Graph& subgraph) { graphs_.push_back(&subgraph); }
  void leave() { graphs_.pop_back(); }
  size_t depth() const { return graphs_.size(); }

  // --- nodes ---
  // Null inputs are absent optional ones. The first returns the only output.
  ir::Value* op(const std::string& type, std::vector<ir::Value*> inputs,
                const NamedAttributes& attributes = {});
  std::vector<ir::Value*> op_n(const std::string& type,
                               std::vector<ir::Value*> inputs, size_t outputs,
                               const NamedAttributes& attributes = {});
  // Infers the types of a node that was added without op(), e.g. an If with
  // its subgraphs filled.
  void infer(ir::Node& node);
  // Takes back a node of the current graph with its subgraphs.
  void discard(ir::Node* node);

  // --- constants: initializers of the main graph; equal ones are one ---
  ir::Value* constant(const ir::Tensor& tensor);
  ir::Value* ints(const std::vector<int64_t>& values);  // 1-D int64
  ir::Value* scalar(ir::DataType type, double value);   // 0-D
  ir::Value* scalar_int(int64_t value);                 // 0-D int64
  // A named weight; the name is made unique.
  ir::Value* weight(const std::string& name, ir::Tensor tensor);

  // --- what is known of a value ---
  // kUndefined when unknown.
  ir::DataType elem(const ir::Value* value) const { return value->type.elem; }
  bool is_floating(const ir::Value* value) const;
  std::optional<int64_t> known_rank(const ir::Value* value) const;
  // Error kUnsupported with the --input-shape hint when unknown.
  int64_t rank(const ir::Value* value) const;
  // The size of a dimension (axis >= 0) when it is known.
  std::optional<int64_t> known_dim(const ir::Value* value, int64_t axis) const;
  // Error kUnsupported, with `what` ("the number of channels"), when unknown.
  int64_t dim(const ir::Value* value, int64_t axis, const char* what) const;
  std::optional<std::vector<int64_t>> known_dims(const ir::Value* value) const;
  // The elements of an integer value, when inference followed all of them.
  std::optional<std::vector<int64_t>> known_ints(const ir::Value* value);
  // The name of the dimension that a single integer is, or empty.
  std::string known_symbol(const ir::Value* value);
  // The same as sizes: symbols where inference followed those, unknown where it
  // lost track; nullopt where it knows nothing.
  std::optional<ir::Shape> followed_sizes(const ir::Value* value);

  // --- sizes ---
  // A constant where it is known, else an int that the graph computes.
  Argument size(ir::Value* value, int64_t axis);
  ir::Value* shape_of(ir::Value* value);  // 1-D int64; a constant where known
  // A list of ints, constant or computed, as a 1-D int64 tensor.
  ir::Value* int_vector(const std::vector<Argument>& items);
  // An int as a 1-D tensor of one element.
  ir::Value* int_vector(const Argument& item);
  // An int as a 0-D tensor.
  ir::Value* int_scalar(const Argument& item);

  // --- everyday nodes; each is left out where it would change nothing ---
  ir::Value* cast(ir::Value* value, ir::DataType type);
  ir::Value* reshape(ir::Value* value, const std::vector<int64_t>& shape);
  ir::Value* reshape(ir::Value* value, ir::Value* shape);
  ir::Value* transpose(ir::Value* value, const std::vector<int64_t>& order);
  ir::Value* unsqueeze(ir::Value* value, const std::vector<int64_t>& axes);
  ir::Value* squeeze(ir::Value* value, const std::vector<int64_t>& axes);
  ir::Value* expand(ir::Value* value, ir::Value* shape);
  ir::Value* concat(const std::vector<ir::Value*>& values, int64_t axis);
  // end nullopt: to the end.
  ir::Value* slice(ir::Value* value, int64_t axis, int64_t start,
                   std::optional<int64_t> end, int64_t step = 1);
  ir::Value* slice(ir::Value* value, int64_t axis, const Argument& start,
                   const Argument& end, const Argument& step);
  // Along an axis, the element at one index; the axis goes.
  ir::Value* select(ir::Value* value, int64_t axis, const Argument& index);
  // keepdims as ONNX has it; an empty list reduces every axis.
  ir::Value* reduce(const std::string& type, ir::Value* value,
                    const std::vector<int64_t>& axes, bool keep_dims);

  // --- numbers and tensors together ---
  // A number or tensor as a tensor of that type (numbers 0-D).
  ir::Value* as_tensor(const Argument& argument, ir::DataType type);
  // The type PyTorch computes in, when these meet in one operator: tensors
  // with dimensions before 0-D tensors before numbers, within each bool before
  // integer before floating (PyTorch's "tensor attributes" documentation,
  // torch.result_type). kUndefined where a tensor's type is unknown.
  ir::DataType result_type(const std::vector<const Argument*>& operands) const;

  // --- where we are ---
  // Shown in errors: the file and the call being translated.
  std::string where;
  // Prefix of node and value names: the module's path ("layer1.0.conv1").
  std::string scope;
  [[noreturn]] void fail(const std::string& what,
                         const std::string& hint = "") const;  // kUnsupported
  [[noreturn]] void fail_input(const std::string& what,
                               const std::string& hint = "") const;  // kInput

 private:
  std::string value_name(const std::string& type) const;
  std::string fresh_name(const std::string& base);

  ir::Model& model_;
  std::vector<ir::Graph*> graphs_;
  ir::InferSession session_;
  std::map<std::string, ir::Value*> constants_;
  std::map<std::string, int64_t> last_suffix_;  // of names given so far
};

}  // namespace lathe::io::aten
