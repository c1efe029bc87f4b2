#include "calibration/accuracy/layer_match.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace lathe::accuracy {
namespace {

using ir::Node;
using ir::Value;

// What quantizers add to a value's name: Lathe, then ONNX Runtime.
constexpr const char* kSuffixes[] = {"",
                                     "_DequantizeLinear",
                                     "_DequantizeLinear_Output",
                                     "_dequantized",
                                     "_quantized",
                                     "_QuantizeLinear_Output"};

// Rounds of matching forwards and backwards.
constexpr int kMaxRounds = 4;

std::vector<int64_t> without_ones(const ir::Shape& shape) {
  std::vector<int64_t> dims;
  for (const ir::Dim& dim : shape)
    if (dim.value != 1) dims.push_back(dim.value);
  return dims;
}

bool may_be_same_shape(const ir::ValueType& a, const ir::ValueType& b) {
  if (!a.shape || !b.shape) return true;
  if (a.shape->size() != b.shape->size())
    return !a.has_static_shape() || !b.has_static_shape() ||
           without_ones(*a.shape) == without_ones(*b.shape);
  for (size_t i = 0; i < a.shape->size(); ++i) {
    const ir::Dim &x = (*a.shape)[i], &y = (*b.shape)[i];
    if (x.known() && y.known() && x.value != y.value) return false;
  }
  return true;
}

// Whether one node may have been written as the other.
bool alike(const Node& a, const Node& b) {
  if (a.op_type == b.op_type) return true;
  const auto either = [&](const char* x, const char* y) {
    return (a.is(x) && b.is(y)) || (a.is(y) && b.is(x));
  };
  return either("Relu", "Clip") || either("MatMul", "Gemm");
}

class Matcher {
 public:
  Matcher(const ir::Graph& a, const ir::Graph& b)
      : a_graph_(a), b_graph_(b), a_(a), b_(b) {}

  std::vector<LayerPair> run() {
    list_inputs();
    list_layers();
    for (size_t i = 0; i < layers_.size(); ++i) match_value_name(i);
    for (size_t i = 0; i < layers_.size(); ++i) shift_folded(i);
    for (size_t i = 0; i < layers_.size(); ++i) match_node_name(i);
    match_outputs();
    for (int round = 0; round < kMaxRounds; ++round) {
      const size_t before = images_.size();
      for (size_t i = 0; i < layers_.size(); ++i) {
        match_forwards(i);
        shift_folded(i);
      }
      for (size_t i = layers_.size(); i-- > 0;) match_backwards(i);
      if (images_.size() == before) break;
    }
    return std::move(layers_);
  }

 private:
  void list_inputs() {
    for (const Value* input : a_graph_.inputs()) {
      const Value* other = b_graph_.find(input->name());
      if (input->has_initializer() || !other || !other->is_graph_input())
        continue;
      images_[a_.root(input)] = b_.root(other);
      std::optional<Carrier> carrier = b_.carrier(other);
      if (!is_comparable(input->type.elem) || !carrier ||
          carrier->value == other)
        continue;
      add_layer(input, input->name(), "Input");
      set_carrier(layers_.size() - 1, *carrier);
    }
  }

  void list_layers() {
    for (const auto& node : a_graph_.nodes()) {
      std::vector<size_t> inputs;
      for (size_t i : a_.data_inputs(*node))
        add_sources(node->input(i), inputs);
      for (size_t i = 0; i < node->outputs().size(); ++i) {
        const Value* value = node->output(i);
        if (!value || a_.is_constant(value)) continue;
        const bool typed = is_comparable(value->type.elem);
        const bool hidden = is_transparent(*node) && !value->is_graph_output();
        const bool other_type =
            !typed && (value->type.elem != ir::DataType::kUndefined ||
                       !value->type.is_tensor());
        if (hidden || other_type) {
          sources_[value] = inputs;
          continue;
        }
        add_layer(value, i == 0 ? node->id() : value->name(), node->op_type);
        layers_.back().typed = typed;
        layers_.back().inputs = inputs;
      }
    }
  }

  void add_layer(const Value* value, const std::string& name,
                 const std::string& operator_type) {
    layer_of_[value] = layers_.size();
    values_.push_back(value);
    LayerPair layer;
    layer.name = name;
    layer.operator_type = operator_type;
    layer.value = value->name();
    layers_.push_back(std::move(layer));
  }

  void add_sources(const Value* value, std::vector<size_t>& into) const {
    std::vector<size_t> found;
    if (auto layer = layer_of_.find(value); layer != layer_of_.end())
      found = {layer->second};
    else if (auto it = sources_.find(value); it != sources_.end())
      found = it->second;
    for (size_t index : found)
      if (std::find(into.begin(), into.end(), index) == into.end())
        into.push_back(index);
  }

  void set_carrier(size_t layer, const Carrier& carrier) {
    layers_[layer].other = carrier.value->name();
    layers_[layer].codes = carrier.codes;
    layers_[layer].quantizer = carrier.quantizer;
    taken_[carrier.value] = a_.root(values_[layer]);
  }

  // Matches the layer with what carries `value` of B, where that is free.
  bool match(size_t layer, const Value* value) {
    if (layers_[layer].matched() || b_.is_constant(value) ||
        value->is_graph_input())
      return false;
    const Value* root = a_.root(values_[layer]);
    std::optional<Carrier> carrier = b_.carrier(value);
    if (!carrier ||
        !may_be_same_shape(values_[layer]->type, carrier->value->type))
      return false;
    auto taken = taken_.find(carrier->value);
    if (taken != taken_.end() && taken->second != root) return false;
    set_carrier(layer, *carrier);
    images_.emplace(root, b_.root(value));
    return true;
  }

  void match_value_name(size_t layer) {
    for (const char* suffix : kSuffixes) {
      const Value* value = b_graph_.find(layers_[layer].value + suffix);
      if (value && match(layer, value)) return;
    }
  }

  // x -> BatchNormalization -> y, and B computes y where it seemed to compute
  // x.
  void shift_folded(size_t layer) {
    const Node* node = values_[layer]->producer();
    if (!node || layers_[layer].matched() || !is_foldable(a_, *node)) return;
    const Value* input = node->input(a_.data_inputs(*node)[0]);
    auto from = layer_of_.find(input);
    auto image = images_.find(input);
    if (from == layer_of_.end() || image == images_.end() ||
        !layers_[from->second].matched() || input->uses().size() != 1 ||
        input->is_graph_output() ||
        !may_be_same_shape(values_[layer]->type, image->second->type))
      return;
    for (const ir::Use& use : b_.readers(image->second))
      if (alike(*node, *use.node) ||
          (node->is("BatchNormalization") && is_scaling(b_, *use.node)))
        return;
    LayerPair &source = layers_[from->second], &target = layers_[layer];
    taken_[b_graph_.find(source.other)] = values_[layer];
    target.other = std::exchange(source.other, "");
    target.codes = std::exchange(source.codes, false);
    target.quantizer = std::exchange(source.quantizer, std::nullopt);
    images_[values_[layer]] = image->second;
    images_.erase(input);
  }

  // What can go into the weights of the node before.
  static bool is_scaling(const ValueIndex& index, const Node& node) {
    return (node.is("BatchNormalization") || node.is("Mul") || node.is("Add") ||
            node.is("Sub") || node.is("Div")) &&
           index.data_inputs(node).size() == 1;
  }

  // The same, or into its quantizer.
  static bool is_foldable(const ValueIndex& index, const Node& node) {
    return is_scaling(index, node) || ((node.is("Relu") || node.is("Clip")) &&
                                       index.data_inputs(node).size() == 1);
  }

  void match_node_name(size_t layer) {
    const Node* node = values_[layer]->producer();
    if (layers_[layer].matched() || !node || node->name.empty()) return;
    if (by_name_.empty())
      for (const auto& other : b_graph_.nodes())
        by_name_.emplace(other->name, other.get());
    auto it = by_name_.find(node->name);
    if (it == by_name_.end() || !alike(*node, *it->second)) return;
    if (const Value* value =
            it->second->output(values_[layer]->producer_index()))
      match(layer, value);
  }

  void match_outputs() {
    const auto &ours = a_graph_.outputs(), &theirs = b_graph_.outputs();
    if (ours.size() != theirs.size()) return;
    for (const Value* output : ours)
      if (const Value* same = b_graph_.find(output->name()))
        if (same->is_graph_output()) return;
    for (size_t i = 0; i < ours.size(); ++i)
      if (auto it = layer_of_.find(ours[i]); it != layer_of_.end())
        match(it->second, theirs[i]);
  }

  // Whether node b of B reads what stands for the inputs of node a.
  bool reads_images(const Node& a, const Node& b) const {
    const std::vector<size_t> inputs = a_.data_inputs(a);
    if (!alike(a, b) || inputs != b_.data_inputs(b)) return false;
    for (size_t i : inputs) {
      auto image = images_.find(a_.root(a.input(i)));
      if (image == images_.end() || image->second != b_.root(b.input(i)))
        return false;
    }
    for (size_t i = 0; i < a.inputs().size(); ++i)
      if (a.input(i) && b.input(i) && a_.is_constant(a.input(i)) &&
          !may_be_same_shape(a.input(i)->type, b.input(i)->type))
        return false;
    return true;
  }

  bool is_free(const Node& node, size_t output) const {
    const Value* value = node.output(output);
    if (!value) return false;
    std::optional<Carrier> carrier = b_.carrier(value);
    return carrier && !taken_.count(carrier->value);
  }

  bool is_open(const Node& node, size_t output) const {
    auto layer = layer_of_.find(node.output(output));
    return layer != layer_of_.end() && !layers_[layer->second].matched();
  }

  void match_forwards(size_t layer) {
    const Node* node = values_[layer]->producer();
    if (layers_[layer].matched() || !node) return;
    const size_t output = values_[layer]->producer_index();
    const std::vector<size_t> inputs = a_.data_inputs(*node);
    if (inputs.empty()) return;
    const Value* root = a_.root(node->input(inputs[0]));
    auto image = images_.find(root);
    if (image == images_.end()) return;
    const Node* fit = nullptr;
    for (const ir::Use& use : b_.readers(image->second)) {
      if (use.index != inputs[0] || !reads_images(*node, *use.node) ||
          !is_free(*use.node, output))
        continue;
      if (fit) return;
      fit = use.node;
    }
    if (!fit) return;
    for (const ir::Use& use : a_.readers(root))
      if (use.node != node && use.index == inputs[0] &&
          reads_images(*use.node, *fit) && is_open(*use.node, output))
        return;
    match(layer, fit->output(output));
  }

  void match_backwards(size_t layer) {
    const Node* node = values_[layer]->producer();
    auto image = images_.find(a_.root(values_[layer]));
    if (!node || image == images_.end()) return;
    const Node* other = image->second->producer();
    if (!other || !alike(*node, *other)) return;
    const std::vector<size_t> inputs = a_.data_inputs(*node);
    if (inputs != b_.data_inputs(*other)) return;
    for (size_t i : inputs) {
      const Value* ours = a_.root(node->input(i));
      const Value* theirs = b_.root(other->input(i));
      auto from = layer_of_.find(ours);
      if (from == layer_of_.end() || images_.count(ours) ||
          !theirs->producer() || !ours->producer() ||
          !alike(*ours->producer(), *theirs->producer()))
        continue;
      match(from->second, theirs);
    }
  }

  const ir::Graph &a_graph_, &b_graph_;
  ValueIndex a_, b_;
  std::vector<LayerPair> layers_;
  std::vector<const Value*> values_;  // of each layer, in A
  std::unordered_map<const Value*, size_t> layer_of_;
  // Layers that a value of A which is none comes from.
  std::unordered_map<const Value*, std::vector<size_t>> sources_;
  // Roots of A and what stands for them in B.
  std::unordered_map<const Value*, const Value*> images_;
  // Carriers in B, and the root in A that they stand for.
  std::unordered_map<const Value*, const Value*> taken_;
  std::unordered_map<std::string, const Node*> by_name_;
};

}  // namespace

std::vector<LayerPair> match_layers(const ir::Model& reference,
                                    const ir::Model& other) {
  return Matcher(*reference.graph, *other.graph).run();
}

}  // namespace lathe::accuracy
