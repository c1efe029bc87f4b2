// The graph that importers fill, passes change and the exporter writes.
//
// A Model holds a Graph and what else an ONNX file says. A Graph owns its Nodes
// (in execution order) and its Values. A Value has one definition (a node's
// output, a graph input, or an initializer) and a list of uses. A Node of a
// subgraph (an attribute of If, Loop, Scan) may use Values of the graphs around
// it; those uses stand in the same list, so def-use is whole.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "passes/ir/tensor.h"
#include "passes/ir/value_type.h"

namespace lathe::ir {

class Graph;
class Node;
class Value;

// An attribute the graph does not interpret: a serialized AttributeProto.
struct OpaqueAttribute {
  std::string bytes;
};

class Attribute {
 public:
  using Data =
      std::variant<std::monostate, float, int64_t, std::string, Tensor,
                   std::unique_ptr<Graph>, std::vector<float>,
                   std::vector<int64_t>, std::vector<std::string>,
                   std::vector<Tensor>, std::vector<std::unique_ptr<Graph>>,
                   OpaqueAttribute>;
  Data data;
  // In a function's body: the function attribute this one takes its value from
  // (data is then empty), and the attribute's ONNX type number.
  std::string ref_name;
  int ref_type = 0;
  std::string doc_string, unknown_fields;

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&data);
  }
};

struct Use {
  Node* node = nullptr;
  size_t index = 0;  // into node->inputs()
  bool operator==(const Use&) const = default;
};

class Value {
 public:
  const std::string& name() const { return name_; }
  Graph& graph() const { return *graph_; }
  // The node that computes it, and as which output; null for inputs and
  // initializers.
  Node* producer() const { return producer_; }
  size_t producer_index() const { return producer_index_; }
  const std::vector<Use>& uses() const { return uses_; }

  bool is_graph_input() const { return is_input_; }
  // How often the value stands in its graph's output list.
  int output_uses() const { return output_uses_; }
  bool is_graph_output() const { return output_uses_ > 0; }
  bool has_initializer() const { return initializer_ != nullptr; }
  // An initializer nobody can override: not on the input list.
  bool is_constant() const { return initializer_ && !is_input_; }
  // The initializer; has_initializer() must hold.
  const Tensor& tensor() const { return *initializer_; }
  void set_tensor(Tensor tensor);  // also updates `type`
  void clear_tensor() { initializer_.reset(); }
  bool unused() const { return uses_.empty() && output_uses_ == 0; }

  ValueType type;
  std::string doc_string, unknown_fields;

 private:
  friend class Graph;
  friend class Node;
  std::string name_;
  Graph* graph_ = nullptr;
  Node* producer_ = nullptr;
  size_t producer_index_ = 0;
  std::vector<Use> uses_;
  bool is_input_ = false;
  int output_uses_ = 0;
  std::shared_ptr<const Tensor> initializer_;
};

class Node {
 public:
  std::string name;    // may be empty
  std::string domain;  // "" is ai.onnx
  std::string op_type;
  std::string overload;  // of a model-local function (IR 10)
  std::string doc_string, unknown_fields;

  Graph& graph() const { return *graph_; }
  // Null entries are absent optional inputs (outputs).
  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::vector<Value*>& outputs() const { return outputs_; }
  // Null when absent or past the end.
  Value* input(size_t i) const {
    return i < inputs_.size() ? inputs_[i] : nullptr;
  }
  Value* output(size_t i = 0) const {
    return i < outputs_.size() ? outputs_[i] : nullptr;
  }
  void set_input(size_t index, Value* value);  // grows the list as needed
  void resize_inputs(size_t count);
  void resize_outputs(size_t count);  // only shrinks; dropped must be unused

  bool is(std::string_view op, std::string_view in_domain = "") const {
    return op_type == op && domain == in_domain;
  }

  // Attributes in the file's order.
  const std::vector<std::pair<std::string, Attribute>>& attributes() const {
    return attributes_;
  }
  const Attribute* attribute(std::string_view name) const;
  bool has_attribute(std::string_view name) const {
    return attribute(name) != nullptr;
  }
  // The attribute, or the fallback when absent. Error kInput (naming the node)
  // when present with another type.
  int64_t attr_int(std::string_view name, int64_t fallback) const;
  float attr_float(std::string_view name, float fallback) const;
  std::string attr_string(std::string_view name, std::string fallback) const;
  std::vector<int64_t> attr_ints(std::string_view name,
                                 std::vector<int64_t> fallback = {}) const;
  std::vector<float> attr_floats(std::string_view name,
                                 std::vector<float> fallback = {}) const;
  // Null when absent.
  const Tensor* attr_tensor(std::string_view name) const;
  Graph* attr_graph(std::string_view name) const;

  void set_attribute(std::string_view name, Attribute attribute);
  template <class T>
  void set_attr(std::string_view name, T value) {
    Attribute attribute;
    attribute.data = std::move(value);
    set_attribute(name, std::move(attribute));
  }
  void remove_attribute(std::string_view name);
  // Subgraphs in all attributes, in order.
  std::vector<Graph*> subgraphs() const;

  // "Conv 'layer1.conv'" or, without a name, "Conv -> 'output'".
  std::string label() const;
  // The name, else the first output's name: what remarks and reports show.
  std::string id() const;

 private:
  friend class Graph;
  void drop_uses();
  Graph* graph_ = nullptr;
  std::vector<Value*> inputs_, outputs_;
  std::vector<std::pair<std::string, Attribute>> attributes_;
  std::list<std::unique_ptr<Node>>::iterator self_;
  bool had_subgraph_ = false;
};

class Graph {
 public:
  using Nodes = std::list<std::unique_ptr<Node>>;

  Graph() = default;
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  std::string name, doc_string, unknown_fields;
  // Serialized fields kept as they are: quantization annotations and sparse
  // initializers (ONNX GraphProto fields 14 and 15), one string a message.
  std::vector<std::string> quantization_annotations, sparse_initializers;

  // The node whose attribute this graph is; null for a top-level graph.
  Node* owner() const { return owner_; }
  Graph* parent() const { return owner_ ? &owner_->graph() : nullptr; }

  const Nodes& nodes() const { return nodes_; }
  // A snapshot that stays valid while the list changes (but not over the
  // removal of one of its nodes).
  std::vector<Node*> node_list() const;
  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::vector<Value*>& outputs() const { return outputs_; }
  // Values with an initializer, in the file's order.
  std::vector<Value*> initializers() const;
  // Every value, in order of creation.
  std::vector<Value*> values() const;

  // This graph's value of that name, or null. find_visible also looks in the
  // graphs around it.
  Value* find(std::string_view name) const;
  Value* find_visible(std::string_view name) const;
  // `base`, or `base_2`, … : not used in this graph, around it, or in any
  // subgraph of it.
  std::string unique_name(const std::string& base) const;

  // A value without a definition yet. Error kInput when the name is taken.
  Value* add_value(const std::string& name, ValueType type = {});
  Value* add_input(const std::string& name, ValueType type);
  Value* add_initializer(const std::string& name, Tensor tensor);
  // As add_initializer under unique_name(base).
  Value* add_constant(const std::string& base, Tensor tensor);
  void add_output(Value* value);
  void set_output(size_t index, Value* value);
  void remove_input(Value* value);  // from the list; the value stays
  void move_input(size_t from, size_t to);

  // Adds a node before `before` (null: at the end). Outputs that are already
  // values of this graph must have no definition. Error kInput if one has.
  Node* add_node(std::string op_type, std::vector<Value*> inputs,
                 std::vector<Value*> outputs, Node* before = nullptr);
  // Creates the outputs under unique names.
  Node* add_node(std::string op_type, std::vector<Value*> inputs,
                 std::vector<std::string> output_names, Node* before = nullptr);
  // One more output of a node, under a unique name: an If whose branches were
  // filled after it was added.
  Value* append_output(Node* node, const std::string& name);
  // The node must have no used output; its outputs are removed as well, and
  // its subgraphs with it.
  void remove_node(Node* node);
  // Removes the node but keeps its outputs as values without a definition.
  void detach_node(Node* node);
  void move_before(Node* node, Node* before);
  // Removes a value that is unused, has no producer and is no input.
  void remove_value(Value* value);
  void rename(Value* value, const std::string& name);
  // Moves every use of `from`, subgraphs and graph outputs included, to `to`.
  // A graph output keeps its name: where `from` is one, `to` takes over the
  // name (or, where `to` is an input, an output itself or an initializer, an
  // Identity is put between).
  void replace_all_uses(Value* from, Value* to);

  // Orders nodes by dependency, stable. Error kInput on a cycle, naming up to
  // four nodes on it. `where` is the place.
  void sort_nodes(const std::string& where);

  // Sets a node's subgraph attribute.
  static Graph* set_subgraph(Node* node, std::string_view attribute,
                             std::unique_ptr<Graph> graph);

 private:
  friend class Node;
  Node* owner_ = nullptr;
  Nodes nodes_;
  std::list<std::unique_ptr<Value>> values_;
  std::unordered_map<std::string, std::list<std::unique_ptr<Value>>::iterator>
      by_name_;
  std::vector<Value*> inputs_, outputs_;
  // Nodes that were given a subgraph: none is the common case.
  size_t nodes_with_subgraphs_ = 0;
};

// A model-local function (ONNX FunctionProto): its body is a Graph whose
// inputs and outputs have no types.
struct Function {
  std::string domain, name, overload, doc_string, unknown_fields;
  std::vector<std::string> attributes;  // required, without a default
  std::vector<std::pair<std::string, Attribute>> default_attributes;
  std::map<std::string, int64_t> opset_imports;
  std::unique_ptr<Graph> body;
};

class Model {
 public:
  int64_t ir_version = 8;
  std::string producer_name, producer_version, domain, doc_string;
  int64_t model_version = 0;
  std::map<std::string, int64_t> opset_imports;  // domain -> version
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<Function> functions;
  std::vector<std::string> training_info;  // serialized, kept as they are
  std::string unknown_fields;
  std::unique_ptr<Graph> graph = std::make_unique<Graph>();

  // The version of ai.onnx; 0 when not imported.
  int64_t opset() const;
  bool has_function(const Node& node) const;
};

// Deep copies (tensor bytes stay shared). Values keep names and order; uses of
// values outside `graph` keep pointing there.
std::unique_ptr<Graph> clone(const Graph& graph);
Model clone(const Model& model);

// Calls f(Graph&) on the graph and all its subgraphs, outer first.
template <class F>
void for_each_graph(Graph& graph, F&& f) {
  f(graph);
  for (Node* node : graph.node_list())
    for (Graph* sub : node->subgraphs()) for_each_graph(*sub, f);
}

// The structure holds: every use is in its value's list and the other way
// round, definitions come before uses, names are unique. Error kInternal with
// `where` (the pass) when it does not.
void verify(const Graph& graph, const std::string& where);

}  // namespace lathe::ir
