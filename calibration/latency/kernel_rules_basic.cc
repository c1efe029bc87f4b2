// What is gone or computed before the first run: constants, nodes that do
// nothing, second copies of a node.
#include <algorithm>
#include <map>

#include "calibration/latency/kernel_rules.h"
#include "passes/ir/op_table.h"

namespace lathe::latency {
namespace {

bool is_quantization(const ir::Node& node) {
  return node.op_type == "QuantizeLinear" || node.op_type == "DequantizeLinear";
}

// A Constant's tensor; nullopt for kinds nothing here asks about.
std::optional<ir::Tensor> constant_tensor(const ir::Node& node) {
  if (const ir::Tensor* tensor = node.attr_tensor("value")) return *tensor;
  if (node.has_attribute("value_float"))
    return ir::Tensor::scalar<float>(node.attr_float("value_float", 0));
  if (node.has_attribute("value_int"))
    return ir::Tensor::scalar<int64_t>(node.attr_int("value_int", 0));
  if (node.has_attribute("value_floats")) {
    std::vector<float> values = node.attr_floats("value_floats");
    return ir::Tensor::from<float>({static_cast<int64_t>(values.size())},
                                   values);
  }
  if (node.has_attribute("value_ints"))
    return ir::Tensor::vector_i64(node.attr_ints("value_ints"));
  return std::nullopt;
}

void fold_constants(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list()) {
    if (node->outputs().empty() || !node->output()) continue;
    if (node->is("Constant")) {
      std::optional<ir::Tensor> tensor = constant_tensor(*node);
      ir::Value* output = node->output();
      rules.make_constant(node);
      if (tensor) output->set_tensor(*tensor);
      continue;
    }
    if (is_quantization(*node)) continue;
    bool static_shape = (node->is("Shape") || node->is("Size")) &&
                        node->input(0) &&
                        node->input(0)->type.has_static_shape();
    const ir::Operator* op = ir::find_operator(*node);
    bool from_constants =
        op && op->deterministic && node->subgraphs().empty() &&
        std::ranges::all_of(node->inputs(), [&](const ir::Value* value) {
          return !value || rules.constant(value);
        });
    bool shows = std::ranges::any_of(node->outputs(), [](const ir::Value* v) {
      return v && v->is_graph_output();
    });
    if ((static_shape || from_constants) && !shows) rules.make_constant(node);
  }
}

bool same_type(const ir::Value* a, const ir::Value* b) {
  if (!a || !b || a->type.elem != b->type.elem) return false;
  auto x = RuleGraph::dims(a), y = RuleGraph::dims(b);
  return x && x == y;
}

// Multiplications and divisions by 1, additions of 0.
bool is_neutral(const RuleGraph& rules, const ir::Node& node) {
  bool additive = node.is("Add") || node.is("Sub");
  bool factor = node.is("Mul") || node.is("Div");
  if (!additive && !factor) return false;
  std::optional<double> second = rules.scalar(node.input(1));
  std::optional<double> first = rules.scalar(node.input(0));
  double neutral = additive ? 0 : 1;
  if (second == neutral) return same_type(node.input(0), node.output());
  bool commutes = node.is("Add") || node.is("Mul");
  return commutes && first == neutral &&
         same_type(node.input(1), node.output());
}

bool does_nothing(const RuleGraph& rules, const ir::Node& node) {
  if (!node.input(0) || !node.output()) return false;
  bool extra_used =
      node.outputs().size() > 1 && node.output(1) && !node.output(1)->unused();
  if (node.is("Identity") || node.is("Dropout")) return !extra_used;
  for (const char* op : {"Cast", "Slice", "Expand"})
    if (node.is(op)) return same_type(node.input(0), node.output());
  return is_neutral(rules, node);
}

void drop_no_ops(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list()) {
    if (!does_nothing(rules, *node)) continue;
    ir::Value* from =
        rules.constant(node->input(0)) ? node->input(1) : node->input(0);
    if (!from) continue;
    // Between the model's borders a copy is all that the node is for.
    if (node->output()->is_graph_output() &&
        (!from->producer() || from->is_graph_output()))
      continue;
    rules.bypass(node, from);
  }
}

void append(std::string& key, const std::string& text) {
  key += text;
  key += '\0';
}

// Empty: not comparable.
std::string attribute_text(const ir::Attribute& attribute) {
  std::string text;
  auto list = [&](const auto* values, const char* tag) {
    if (!values) return false;
    text = tag;
    for (const auto& value : *values) {
      if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>)
        text += value + ",";
      else
        text += std::to_string(value) + ",";
    }
    return true;
  };
  if (const auto* number = attribute.get_if<float>())
    return "f" + std::to_string(*number);
  if (const auto* number = attribute.get_if<int64_t>())
    return "i" + std::to_string(*number);
  if (const auto* string = attribute.get_if<std::string>())
    return "s" + *string;
  if (list(attribute.get_if<std::vector<int64_t>>(), "I")) return text;
  if (list(attribute.get_if<std::vector<float>>(), "F")) return text;
  return "";
}

std::string input_key(const RuleGraph& rules, const ir::Value* value) {
  if (!value) return "-";
  if (rules.constant(value) && value->is_constant() &&
      value->tensor().size() > 0 && value->tensor().size() <= 8 &&
      value->type.elem != ir::DataType::kString) {
    const auto bytes = value->tensor().bytes();
    return "c" + std::to_string(static_cast<int>(value->type.elem)) + ":" +
           std::to_string(value->tensor().rank()) + ":" +
           std::string(reinterpret_cast<const char*>(bytes.data()),
                       bytes.size());
  }
  return "v" + value->name();
}

void merge_duplicates(RuleGraph& rules) {
  std::map<std::string, ir::Node*> known;
  for (ir::Node* node : rules.graph().node_list()) {
    const ir::Operator* op = ir::find_operator(*node);
    if (!op || !op->deterministic || !node->subgraphs().empty() ||
        node->inputs().empty())
      continue;
    std::string key;
    append(key, node->op_type);
    append(key, node->domain);
    append(key, std::to_string(node->outputs().size()));
    for (const ir::Value* input : node->inputs())
      append(key, input_key(rules, input));
    bool comparable = true;
    std::map<std::string, std::string> attributes;
    for (const auto& [name, attribute] : node->attributes()) {
      std::string text = attribute_text(attribute);
      comparable = comparable && !text.empty();
      attributes[name] = text;
    }
    if (!comparable) continue;
    for (const auto& [name, text] : attributes) append(key, name + "=" + text);
    auto [found, added] = known.emplace(key, node);
    if (added) continue;
    bool shows = std::ranges::any_of(node->outputs(), [](const ir::Value* v) {
      return v && v->is_graph_output();
    });
    if (shows) continue;
    for (size_t i = 0; i < node->outputs().size(); ++i)
      if (node->output(i) && found->second->output(i))
        rules.graph().replace_all_uses(node->output(i),
                                       found->second->output(i));
    if (std::ranges::all_of(node->outputs(), [](const ir::Value* v) {
          return !v || v->unused();
        })) {
      rules.inherit(found->second, node);
      rules.graph().remove_node(node);
    }
  }
}

}  // namespace

void fold_and_simplify(RuleGraph& rules) {
  fold_constants(rules);
  rules.remove_dead();
  drop_no_ops(rules);
  merge_duplicates(rules);
  fold_constants(rules);
  rules.remove_dead();
}

namespace {

struct Piece {
  ir::Node* node;
  int64_t start, end;
};

// The part of `value` that a Slice of one axis or a Gather of one index takes.
std::optional<Piece> piece_of(const RuleGraph& rules, ir::Node* node,
                              int64_t& axis) {
  auto dims = RuleGraph::dims(node->input(0));
  if (!dims) return std::nullopt;
  int64_t rank = static_cast<int64_t>(dims->size()), start = 0, end = 0;
  auto one = [&](const ir::Value* value, int64_t& out) {
    auto numbers = rules.integers(value);
    if (!numbers || numbers->size() != 1) return false;
    out = numbers->front();
    return true;
  };
  if (node->is("Slice")) {
    int64_t step = 1;
    if (!one(node->input(1), start) || !one(node->input(2), end) ||
        !one(node->input(3), axis) ||
        (node->input(4) && !one(node->input(4), step)) || step != 1)
      return std::nullopt;
  } else if (node->is("Gather") && node->input(1) &&
             node->input(1)->type.shape &&
             node->input(1)->type.shape->empty()) {
    if (!one(node->input(1), start)) return std::nullopt;
    axis = node->attr_int("axis", 0);
    end = start == -1 ? INT64_MAX : start + 1;
  } else {
    return std::nullopt;
  }
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  int64_t size = (*dims)[static_cast<size_t>(axis)];
  if (start < 0) start += size;
  if (end < 0) end += size;
  end = std::min(end, size);
  if (start < 0 || start >= end) return std::nullopt;
  return Piece{node, start, end};
}

void split_value(RuleGraph& rules, ir::Value* value) {
  if (value->is_graph_output() || value->uses().size() < 2) return;
  std::vector<Piece> pieces;
  int64_t axis = -1;
  for (const ir::Use& use : value->uses()) {
    int64_t here = 0;
    if (&use.node->graph() != &rules.graph() || use.index != 0) return;
    std::optional<Piece> piece = piece_of(rules, use.node, here);
    if (!piece || (axis >= 0 && here != axis) ||
        use.node->op_type != value->uses()[0].node->op_type)
      return;
    axis = here;
    pieces.push_back(*piece);
  }
  std::ranges::sort(pieces, {}, &Piece::start);
  int64_t next = 0;
  for (const Piece& piece : pieces) {
    if (piece.start != next) return;
    next = piece.end;
  }
  if (next != (*RuleGraph::dims(value))[static_cast<size_t>(axis)]) return;
  ir::Node* first = nullptr;
  for (ir::Node* node : rules.graph().node_list()) {
    bool is_piece = std::ranges::any_of(
        pieces, [&](const Piece& piece) { return piece.node == node; });
    if (is_piece && !first) first = node;
  }
  ir::ValueType sizes;
  sizes.elem = ir::DataType::kInt64;
  sizes.shape = ir::to_shape({static_cast<int64_t>(pieces.size())});
  std::vector<std::string> names;
  for (size_t i = 0; i < pieces.size(); ++i)
    names.push_back(rules.graph().unique_name("split" + std::to_string(i)));
  ir::Node* split = rules.graph().add_node(
      "Split", {value, rules.constant_like(sizes)}, names, first);
  split->set_attr("axis", axis);
  for (size_t i = 0; i < pieces.size(); ++i) {
    ir::Value* part = split->output(i);
    part->type = value->type;
    (*part->type.shape)[static_cast<size_t>(axis)] =
        ir::Dim(pieces[i].end - pieces[i].start);
    ir::Node* node = pieces[i].node;
    if (node->is("Slice")) {
      rules.bypass(node, part, split);
      continue;
    }
    rules.fuse(node, {}, "Squeeze", "",
               {part, rules.graph().add_constant(
                          "axes", ir::Tensor::vector_i64({axis}))});
  }
}

}  // namespace

// Slices or Gathers that share out an axis are one Split.
void split_slices(RuleGraph& rules) {
  // By name: a split removes nodes and their values.
  std::vector<std::string> names;
  for (const ir::Value* value : rules.graph().values())
    if (value->uses().size() > 1 && !rules.constant(value))
      names.push_back(value->name());
  for (const std::string& name : names)
    if (ir::Value* value = rules.graph().find(name)) split_value(rules, value);
}

// x86 has hardly a kernel for halves: the runtime computes in floats, between
// Casts at the model's borders. Where an operator does take halves the runtime
// casts around it; that is left out here.
void widen_halves(RuleGraph& rules) {
  ir::Graph& graph = rules.graph();
  auto is_half = [](const ir::Value* value) {
    return value->type.elem == ir::DataType::kFloat16;
  };
  std::vector<ir::Value*> inputs, outputs;
  for (ir::Value* input : graph.inputs())
    if (is_half(input) && !input->has_initializer()) inputs.push_back(input);
  for (ir::Value* output : graph.outputs())
    if (is_half(output) && output->producer()) outputs.push_back(output);
  for (ir::Value* value : graph.values())
    if (is_half(value)) value->type.elem = ir::DataType::kFloat;
  for (ir::Value* input : inputs) {
    ir::Node* first =
        graph.nodes().empty() ? nullptr : graph.nodes().front().get();
    ir::Node* cast = rules.insert("Cast", "", {}, input->type, first);
    cast->set_attr("to", static_cast<int64_t>(ir::DataType::kFloat));
    graph.replace_all_uses(input, cast->output());
    input->type.elem = ir::DataType::kFloat16;
    cast->set_input(0, input);
  }
  for (ir::Value* output : outputs) {
    ir::ValueType halves = output->type;
    halves.elem = ir::DataType::kFloat16;
    ir::Node* cast = rules.insert("Cast", "", {output}, halves, nullptr);
    cast->set_attr("to", static_cast<int64_t>(ir::DataType::kFloat16));
    for (size_t i = 0; i < graph.outputs().size(); ++i)
      if (graph.outputs()[i] == output) graph.set_output(i, cast->output());
  }
}

// HardSwish has a kernel only as part of a convolution: x * HardSigmoid(x).
void expand_functions(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list()) {
    if (!node->is("HardSwish")) continue;
    ir::Value* x = node->input(0);
    ir::Node* gate = rules.insert("HardSigmoid", "", {x}, x->type, node);
    rules.fuse(node, {}, "Mul", "", {x, gate->output()});
  }
}

}  // namespace lathe::latency
