// What a row of the operator table sees of one node while shapes are
// inferred, and the session that runs over a model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::ir {

// Values of at most this many elements are followed.
inline constexpr int64_t kMaxFollowedElements = 256;
// Larger ranks are taken for damage.
inline constexpr size_t kMaxRank = 64;

// One element of a followed value: a number, the name of a dimension, or
// unknown. Bools are the integers 0 and 1.
struct Element {
  enum class Kind : uint8_t { kUnknown, kInt, kReal, kSymbol };
  Kind kind = Kind::kUnknown;
  int64_t integer = 0;
  double real = 0;
  std::string symbol;

  static Element of(int64_t value);
  static Element of_real(double value);
  static Element of(const Dim& dim);

  bool is_int() const { return kind == Kind::kInt; }
  bool is_symbol() const { return kind == Kind::kSymbol; }
  bool is_number() const { return is_int() || kind == Kind::kReal; }
  double number() const {
    return is_int() ? static_cast<double>(integer) : real;
  }
  // As a dimension; unknown for negative and for real numbers.
  Dim dim() const;
};

// What is known of a small tensor's elements, row-major.
struct FollowedValue {
  std::vector<int64_t> dims;
  std::vector<Element> elements;

  static FollowedValue scalar(Element element) { return {{}, {element}}; }
};

class InferSession;

// Indices count the node's inputs and outputs; absent ones read as unknown and
// may be set without effect.
class InferContext {
 public:
  InferContext(Node& node, InferSession& session)
      : node_(node), session_(session) {}

  Node& node() const { return node_; }
  InferSession& session() const { return session_; }
  // Version of ai.onnx that the node is written for.
  int64_t opset() const;
  size_t input_count() const { return node_.inputs().size(); }
  size_t output_count() const { return node_.outputs().size(); }
  bool has_input(size_t i) const { return node_.input(i) != nullptr; }

  DataType elem(size_t i) const;
  const Shape* shape(size_t i) const;  // null: rank unknown
  std::optional<Shape> shape_copy(size_t i) const;
  std::optional<int64_t> rank(size_t i) const;
  // The dimension, unknown where the shape is or has no such axis.
  Dim dim(size_t i, size_t axis) const;

  // Null when nothing is known of the elements.
  const FollowedValue* data(size_t i) const;
  // As data; where only a small static shape is known, all elements unknown.
  std::optional<FollowedValue> data_or_unknown(size_t i) const;
  // Every element, when all are known.
  std::optional<std::vector<int64_t>> ints(size_t i) const;
  std::optional<std::vector<double>> reals(size_t i) const;
  // The only element of input i when it is known.
  std::optional<int64_t> scalar_int(size_t i) const;

  // Merges what follows into the output's type. kUndefined and nullopt add
  // nothing.
  void set(size_t i, DataType elem, std::optional<Shape> shape = std::nullopt);
  void set_like(size_t output, size_t input);  // sequences included
  void set_data(size_t i, FollowedValue value);

  // Error kInput naming the node.
  [[noreturn]] void fail(const std::string& what,
                         const std::string& hint = "") const;

 private:
  Node& node_;
  InferSession& session_;
};

// One run of inference over a model.
class InferSession {
 public:
  explicit InferSession(const Model& model);

  const Model& model() const { return model_; }
  int64_t opset() const { return opset_; }
  // `lenient`: a node whose inputs do not go together leaves its outputs
  // alone, as in a branch that may never run. False when there was one.
  bool infer(Graph& graph, bool lenient = false);
  // One node whose inputs are known already. Error kInput as infer_shapes.
  void infer(Node& node);

  const FollowedValue* data(const Value* value);
  void set_data(const Value* value, FollowedValue data);
  void forget(const Value* value) { followed_.erase(value); }

  // Copies of bodies may take a bounded amount of work; false: spent.
  bool afford_copy(const Graph& body);

 private:
  void infer_function(Node& node, const Function& function);

  const Model& model_;
  int64_t opset_;
  int depth_ = 0;
  int64_t copied_nodes_ = 0;
  std::unordered_map<const Value*, FollowedValue> followed_;
};

// `elem` and `shape` into `type`: a number or a symbol that follows replaces
// what stood there, an unknown dimension leaves it.
void merge_type(ValueType& type, DataType elem,
                const std::optional<Shape>& shape);
// What holds for a value that is one of the two.
std::optional<Shape> common_shape(const std::optional<Shape>& a,
                                  const std::optional<Shape>& b);

// The model-local function a node calls, or null.
const Function* find_function(const Model& model, const Node& node);
// The function's body for this call: attributes filled in, input types set.
std::unique_ptr<Graph> instantiate(const Function& function, const Node& node);

}  // namespace lathe::ir
