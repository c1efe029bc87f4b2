#include "passes/ir/graph.h"

#include <algorithm>
#include <queue>
#include <unordered_set>

#include "passes/base/error.h"

namespace lathe::ir {
namespace {

template <class T>
const T& typed(const Node& node, std::string_view name, const Attribute& a,
               const char* expected) {
  if (const T* data = a.get_if<T>()) return *data;
  throw_input(node.label(),
              "attribute '" + std::string(name) + "' is not " + expected);
}

}  // namespace

void Value::set_tensor(Tensor tensor) {
  tensor.name = name_;
  type.elem = tensor.type();
  type.shape = to_shape(tensor.dims());
  initializer_ = std::make_shared<const Tensor>(std::move(tensor));
}

void Node::set_input(size_t index, Value* value) {
  if (index >= inputs_.size()) inputs_.resize(index + 1, nullptr);
  if (Value* old = inputs_[index]) std::erase(old->uses_, Use{this, index});
  inputs_[index] = value;
  if (value) value->uses_.push_back({this, index});
}

void Node::resize_inputs(size_t count) {
  for (size_t i = count; i < inputs_.size(); ++i) set_input(i, nullptr);
  inputs_.resize(count, nullptr);
}

void Node::resize_outputs(size_t count) {
  for (size_t i = count; i < outputs_.size(); ++i) {
    Value* value = outputs_[i];
    if (!value) continue;
    if (!value->unused())
      throw_internal(label(),
                     "dropped output '" + value->name() + "' is still used");
    value->producer_ = nullptr;
    value->graph_->remove_value(value);
  }
  outputs_.resize(std::min(count, outputs_.size()));
}

const Attribute* Node::attribute(std::string_view name) const {
  for (const auto& [key, attribute] : attributes_)
    if (key == name) return &attribute;
  return nullptr;
}

int64_t Node::attr_int(std::string_view name, int64_t fallback) const {
  const Attribute* a = attribute(name);
  return a ? typed<int64_t>(*this, name, *a, "an integer") : fallback;
}

float Node::attr_float(std::string_view name, float fallback) const {
  const Attribute* a = attribute(name);
  return a ? typed<float>(*this, name, *a, "a float") : fallback;
}

std::string Node::attr_string(std::string_view name,
                              std::string fallback) const {
  const Attribute* a = attribute(name);
  return a ? typed<std::string>(*this, name, *a, "a string") : fallback;
}

std::vector<int64_t> Node::attr_ints(std::string_view name,
                                     std::vector<int64_t> fallback) const {
  const Attribute* a = attribute(name);
  return a ? typed<std::vector<int64_t>>(*this, name, *a, "a list of integers")
           : fallback;
}

std::vector<float> Node::attr_floats(std::string_view name,
                                     std::vector<float> fallback) const {
  const Attribute* a = attribute(name);
  return a ? typed<std::vector<float>>(*this, name, *a, "a list of floats")
           : fallback;
}

const Tensor* Node::attr_tensor(std::string_view name) const {
  const Attribute* a = attribute(name);
  return a ? &typed<Tensor>(*this, name, *a, "a tensor") : nullptr;
}

Graph* Node::attr_graph(std::string_view name) const {
  const Attribute* a = attribute(name);
  return a ? typed<std::unique_ptr<Graph>>(*this, name, *a, "a graph").get()
           : nullptr;
}

void Node::set_attribute(std::string_view name, Attribute attribute) {
  auto adopt = [this](std::unique_ptr<Graph>& graph) {
    if (!graph) return;
    graph->owner_ = this;
    if (!had_subgraph_) ++graph_->nodes_with_subgraphs_;
    had_subgraph_ = true;
  };
  if (auto* graph = std::get_if<std::unique_ptr<Graph>>(&attribute.data))
    adopt(*graph);
  if (auto* graphs =
          std::get_if<std::vector<std::unique_ptr<Graph>>>(&attribute.data))
    for (auto& graph : *graphs) adopt(graph);
  for (auto& [key, existing] : attributes_) {
    if (key == name) {
      existing = std::move(attribute);
      return;
    }
  }
  attributes_.emplace_back(std::string(name), std::move(attribute));
}

void Node::remove_attribute(std::string_view name) {
  std::erase_if(attributes_,
                [&](const auto& entry) { return entry.first == name; });
}

std::vector<Graph*> Node::subgraphs() const {
  std::vector<Graph*> found;
  for (const auto& [key, a] : attributes_) {
    if (auto* graph = a.get_if<std::unique_ptr<Graph>>())
      found.push_back(graph->get());
    if (auto* graphs = a.get_if<std::vector<std::unique_ptr<Graph>>>())
      for (auto& graph : *graphs) found.push_back(graph.get());
  }
  return found;
}

std::string Node::label() const {
  if (!name.empty()) return op_type + " '" + name + "'";
  for (Value* value : outputs_)
    if (value) return op_type + " -> '" + value->name() + "'";
  return op_type;
}

std::string Node::id() const {
  if (!name.empty()) return name;
  for (Value* value : outputs_)
    if (value) return value->name();
  return op_type;
}

void Node::drop_uses() {
  for (size_t i = 0; i < inputs_.size(); ++i) set_input(i, nullptr);
  for (Graph* sub : subgraphs())
    for (auto& node : sub->nodes_) node->drop_uses();
}

Graph::~Graph() {
  // Uses of outer values by this graph's nodes must not outlive it, and
  // subgraphs go while the values they point to still exist.
  // (Clearing the lists first keeps this linear in the number of uses.)
  for (auto& value : values_) value->uses_.clear();
  for (auto& node : nodes_) node->drop_uses();
  nodes_.clear();
  for (Value* value : outputs_)
    if (value->graph_ != this) --value->output_uses_;
}

std::vector<Node*> Graph::node_list() const {
  std::vector<Node*> list;
  list.reserve(nodes_.size());
  for (auto& node : nodes_) list.push_back(node.get());
  return list;
}

std::vector<Value*> Graph::initializers() const {
  std::vector<Value*> list;
  for (auto& value : values_)
    if (value->initializer_) list.push_back(value.get());
  return list;
}

std::vector<Value*> Graph::values() const {
  std::vector<Value*> list;
  list.reserve(values_.size());
  for (auto& value : values_) list.push_back(value.get());
  return list;
}

Value* Graph::find(std::string_view name) const {
  auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : it->second->get();
}

Value* Graph::find_visible(std::string_view name) const {
  for (const Graph* graph = this; graph; graph = graph->parent())
    if (Value* value = graph->find(name)) return value;
  return nullptr;
}

std::string Graph::unique_name(const std::string& base) const {
  auto taken_below = [](const Graph& graph, const std::string& name,
                        auto&& self) -> bool {
    if (graph.nodes_with_subgraphs_ == 0) return false;
    for (auto& node : graph.nodes_)
      for (Graph* sub : node->subgraphs())
        if (sub->find(name) || self(*sub, name, self)) return true;
    return false;
  };
  auto taken = [&](const std::string& name) {
    return find_visible(name) || taken_below(*this, name, taken_below);
  };
  if (!base.empty() && !taken(base)) return base;
  for (int i = 2;; ++i) {
    std::string name = base + "_" + std::to_string(i);
    if (!taken(name)) return name;
  }
}

Value* Graph::add_value(const std::string& name, ValueType type) {
  if (by_name_.contains(name))
    throw_input("value '" + name + "'", "is defined twice in one graph");
  auto it = values_.insert(values_.end(), std::make_unique<Value>());
  Value* value = it->get();
  value->name_ = name;
  value->graph_ = this;
  value->type = std::move(type);
  by_name_.emplace(name, it);
  return value;
}

Value* Graph::add_input(const std::string& name, ValueType type) {
  Value* value = add_value(name, std::move(type));
  value->is_input_ = true;
  inputs_.push_back(value);
  return value;
}

Value* Graph::add_initializer(const std::string& name, Tensor tensor) {
  Value* value = find(name);
  if (value) {
    // An initializer that is also on the input list (a default value).
    if (!value->is_input_ || value->initializer_)
      throw_input("initializer '" + name + "'",
                  "has the name of another value");
    ValueType declared = value->type;
    value->set_tensor(std::move(tensor));
    value->type = std::move(declared);
    return value;
  }
  value = add_value(name);
  value->set_tensor(std::move(tensor));
  return value;
}

Value* Graph::add_constant(const std::string& base, Tensor tensor) {
  return add_initializer(unique_name(base), std::move(tensor));
}

void Graph::add_output(Value* value) {
  outputs_.push_back(value);
  ++value->output_uses_;
}

void Graph::set_output(size_t index, Value* value) {
  --outputs_[index]->output_uses_;
  outputs_[index] = value;
  ++value->output_uses_;
}

void Graph::remove_input(Value* value) {
  std::erase(inputs_, value);
  value->is_input_ = false;
}

void Graph::move_input(size_t from, size_t to) {
  Value* value = inputs_[from];
  inputs_.erase(inputs_.begin() + static_cast<ptrdiff_t>(from));
  inputs_.insert(inputs_.begin() + static_cast<ptrdiff_t>(to), value);
}

Node* Graph::add_node(std::string op_type, std::vector<Value*> inputs,
                      std::vector<Value*> outputs, Node* before) {
  auto owned = std::make_unique<Node>();
  Node* node = owned.get();
  node->op_type = std::move(op_type);
  node->graph_ = this;
  node->inputs_.resize(inputs.size(), nullptr);
  for (size_t i = 0; i < inputs.size(); ++i) node->set_input(i, inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) {
    Value* value = outputs[i];
    if (!value) continue;
    if (value->producer_ || value->initializer_ || value->is_input_) {
      node->drop_uses();
      throw_input("value '" + value->name() + "'",
                  "is defined twice in one graph");
    }
    value->producer_ = node;
    value->producer_index_ = i;
  }
  node->outputs_ = std::move(outputs);
  auto at = before ? before->self_ : nodes_.end();
  node->self_ = nodes_.insert(at, std::move(owned));
  return node;
}

Node* Graph::add_node(std::string op_type, std::vector<Value*> inputs,
                      std::vector<std::string> output_names, Node* before) {
  std::vector<Value*> outputs;
  for (const std::string& name : output_names)
    outputs.push_back(add_value(unique_name(name)));
  return add_node(std::move(op_type), std::move(inputs), std::move(outputs),
                  before);
}

Value* Graph::append_output(Node* node, const std::string& name) {
  Value* value = add_value(unique_name(name));
  value->producer_ = node;
  value->producer_index_ = node->outputs_.size();
  node->outputs_.push_back(value);
  return value;
}

void Graph::remove_node(Node* node) {
  for (Value* value : node->outputs_)
    if (value && !value->unused())
      throw_internal(node->label(), "removed while output '" + value->name() +
                                        "' is still used");
  std::vector<Value*> outputs = node->outputs_;
  detach_node(node);
  for (Value* value : outputs)
    if (value) remove_value(value);
}

void Graph::detach_node(Node* node) {
  node->drop_uses();
  for (Value* value : node->outputs_)
    if (value) value->producer_ = nullptr;
  if (node->had_subgraph_) --nodes_with_subgraphs_;
  nodes_.erase(node->self_);
}

void Graph::move_before(Node* node, Node* before) {
  nodes_.splice(before ? before->self_ : nodes_.end(), nodes_, node->self_);
}

void Graph::remove_value(Value* value) {
  if (!value->unused() || value->producer_ || value->is_input_)
    throw_internal("value '" + value->name() + "'", "removed while in use");
  auto it = by_name_.find(value->name_);
  auto at = it->second;
  by_name_.erase(it);
  values_.erase(at);
}

void Graph::rename(Value* value, const std::string& name) {
  if (value->name_ == name) return;
  if (by_name_.contains(name))
    throw_internal("value '" + value->name_ + "'",
                   "renamed to the existing '" + name + "'");
  auto it = by_name_.find(value->name_);
  auto at = it->second;
  by_name_.erase(it);
  value->name_ = name;
  by_name_.emplace(name, at);
}

void Graph::replace_all_uses(Value* from, Value* to) {
  if (from == to) return;
  std::vector<Use> uses = from->uses_;
  for (const Use& use : uses) use.node->set_input(use.index, to);
  if (from->output_uses_ == 0) return;
  Graph& graph = *from->graph_;
  // Subgraphs that give the outer value back directly.
  for (auto& node : graph.nodes_)
    for (Graph* sub : node->subgraphs())
      for_each_graph(*sub, [&](Graph& inner) {
        for (size_t i = 0; i < inner.outputs_.size(); ++i)
          if (inner.outputs_[i] == from) inner.set_output(i, to);
      });
  if (std::ranges::find(graph.outputs_, from) == graph.outputs_.end()) return;
  bool can_take_name = to->graph_ == &graph && to->producer_ &&
                       !to->is_input_ && !to->is_graph_output();
  if (can_take_name) {
    std::string name = from->name_;
    rename(from, unique_name(name + "_replaced"));
    rename(to, name);
    for (size_t i = 0; i < graph.outputs_.size(); ++i)
      if (graph.outputs_[i] == from) graph.set_output(i, to);
    if (!to->type.shape) to->type = from->type;
    return;
  }
  // The output stays `from`, now computed by an Identity of `to`.
  Node* producer = from->producer_;
  if (producer && producer->is("Identity") && producer->input(0) == to) return;
  std::string name = from->name_;
  rename(from, unique_name(name + "_replaced"));
  Value* output = graph.add_value(name, from->type);
  Node* identity =
      graph.add_node("Identity", {to}, std::vector<Value*>{output});
  identity->name = name + "_identity";
  for (size_t i = 0; i < graph.outputs_.size(); ++i)
    if (graph.outputs_[i] == from) graph.set_output(i, output);
}

void Graph::sort_nodes(const std::string& where) {
  // Which of this graph's nodes a node waits for: by its own inputs and by
  // what its subgraphs use from here. Already sorted is the common case.
  std::unordered_map<const Node*, size_t> position;
  std::vector<Node*> list = node_list();
  for (size_t i = 0; i < list.size(); ++i) position[list[i]] = i;
  std::vector<std::vector<size_t>> consumers(list.size());
  std::vector<size_t> waits(list.size(), 0);
  bool sorted = true;
  auto add_edges = [&](const Node& user, size_t at, auto&& self) -> void {
    for (Value* value : user.inputs_) {
      if (!value || !value->producer_) continue;
      auto it = position.find(value->producer_);
      if (it == position.end()) continue;
      consumers[it->second].push_back(at);
      ++waits[at];
      if (it->second >= at) sorted = false;
    }
    for (Graph* sub : user.subgraphs()) {
      for (Value* value : sub->outputs_) {
        // A subgraph may give back an outer value directly.
        if (!value->producer_) continue;
        auto it = position.find(value->producer_);
        if (it == position.end()) continue;
        consumers[it->second].push_back(at);
        ++waits[at];
        if (it->second >= at) sorted = false;
      }
      for (auto& node : sub->nodes_) self(*node, at, self);
    }
  };
  for (size_t i = 0; i < list.size(); ++i) add_edges(*list[i], i, add_edges);
  if (sorted) return;
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < list.size(); ++i)
    if (waits[i] == 0) ready.push(i);
  size_t done = 0;
  while (!ready.empty()) {
    size_t at = ready.top();
    ready.pop();
    ++done;
    move_before(list[at], nullptr);
    for (size_t consumer : consumers[at])
      if (--waits[consumer] == 0) ready.push(consumer);
  }
  if (done == list.size()) return;
  // Walk back over waiting nodes until one repeats: that is a cycle.
  size_t at = 0;
  while (waits[at] == 0) ++at;
  std::vector<size_t> path;
  std::vector<bool> seen(list.size(), false);
  while (!seen[at]) {
    seen[at] = true;
    path.push_back(at);
    for (size_t from = 0; from < list.size(); ++from) {
      if (waits[from] == 0) continue;
      if (std::ranges::find(consumers[from], at) != consumers[from].end()) {
        at = from;
        break;
      }
    }
  }
  auto start = std::ranges::find(path, at);
  std::string text;
  size_t shown = 0;
  for (auto it = std::make_reverse_iterator(path.end());
       it != std::make_reverse_iterator(start) && shown < 4; ++it, ++shown)
    text += (shown ? " -> " : "") + list[*it]->label();
  throw_input(where, "the graph has a cycle through " + text,
              "an ONNX graph must be acyclic; export the model again");
}

Graph* Graph::set_subgraph(Node* node, std::string_view attribute,
                           std::unique_ptr<Graph> graph) {
  Graph* raw = graph.get();
  node->set_attr(attribute, std::move(graph));
  return raw;
}

int64_t Model::opset() const {
  auto it = opset_imports.find("");
  return it == opset_imports.end() ? 0 : it->second;
}

bool Model::has_function(const Node& node) const {
  return std::ranges::any_of(functions, [&](const Function& f) {
    return f.name == node.op_type && f.domain == node.domain;
  });
}

}  // namespace lathe::ir
