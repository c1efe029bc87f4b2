// Float tensors and nodes to half precision.
//
//   x -> Conv(w) -> Exp -> y    becomes
//   x -> Cast -> Conv(w16) -> Cast -> Exp -> y
//
// half_plan chooses the nodes. A value has at most one Cast, right after what
// computes it, for all readers of the other type; an initializer that both
// read is stored twice. Inputs and outputs of subgraphs stay float, as do those
// of the model with keep_io. Numbers: IEEE 754 half, rounded to nearest even.
#include <map>
#include <set>
#include <vector>

#include "passes/ir/shape_inference.h"
#include "passes/quantize/half_plan.h"
#include "passes/quantize/half_rules.h"
#include "passes/quantize/left_alone.h"
#include "passes/quantize/narrow_floats.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::quantize {
namespace {

// BatchNormalization's statistics have a type of their own from 15 on.
constexpr int64_t kLowestOpset = 15;
constexpr int64_t kRaisedOpset = 17;
constexpr auto kHalf = ir::DataType::kFloat16;

class Converter {
 public:
  Converter(ir::Model& model, const HalfPlan& plan, const HalfOptions& options)
      : model_(model), plan_(plan), options_(options) {}

  int64_t run() {
    ir::for_each_graph(*model_.graph,
                       [this](ir::Graph& graph) { read(graph); });
    for (const Reader& reader : readers_)
      reader.node->set_input(reader.index, as(reader.value, reader.half));
    // Inner graphs first: they may hand out values of outer ones.
    for (auto at = outputs_.rbegin(); at != outputs_.rend(); ++at)
      connect_output(*at->first, at->second);
    // Types last: until here a value's type says what it was.
    for (ir::Value* value : halves_) {
      if (value->has_initializer())
        value->set_tensor(narrowed(value->tensor(), kHalf));
      value->type.elem = kHalf;
    }
    for (ir::Node* node : nodes_) set_attributes(*node);
    drop_idle_casts();
    return static_cast<int64_t>(nodes_.size());
  }

 private:
  // A float value read by a node.
  struct Reader {
    ir::Value* value;
    ir::Node* node;
    size_t index;
    bool half;  // the node wants it so
  };

  void read(ir::Graph& graph) {
    const std::vector<ir::Node*> nodes = graph.node_list();
    for (size_t i = 0; i < nodes.size(); ++i) {
      ir::Node* node = nodes[i];
      if (i + 1 < nodes.size()) next_[node] = nodes[i + 1];
      if (plan_.is_half(node)) nodes_.push_back(node);
      for (size_t k = 0; k < node->inputs().size(); ++k) {
        ir::Value* value = node->input(k);
        if (!is_float(value)) continue;
        const bool half = plan_.reads_half(*node, k);
        if (!half && reads_any_float(*node)) continue;
        readers_.push_back({value, node, k, half});
        if (!half) wanted_float_.insert(value);
      }
      for (ir::Value* value : node->outputs())
        if (plan_.is_half(value)) halves_.push_back(value);
    }
    if (!nodes.empty()) first_[&graph] = nodes[0];
    for (ir::Value* value : graph.inputs())
      if (plan_.is_half(value)) halves_.push_back(value);
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      ir::Value* value = graph.outputs()[i];
      if (!is_float(value)) continue;
      outputs_.push_back({&graph, i});
      if (value->is_constant()) wanted_float_.insert(value);
    }
  }

  // `value` as half or float.
  ir::Value* as(ir::Value* value, bool half) {
    if (value->is_constant() && !value->producer())
      return constant(value, half);
    if (plan_.is_half(value) == half) return value;
    ir::Value*& cast = casts_[value];
    if (cast) return cast;
    ir::Node* producer = value->producer();
    // The half value that a Cast of the model brought to float.
    if (half && producer && producer->is("Cast") && producer->input(0) &&
        producer->input(0)->type.elem == kHalf)
      return cast = producer->input(0);
    ir::Graph& graph = value->graph();
    auto place = producer ? next_.find(producer) : next_.end();
    ir::Node* before = place != next_.end() ? place->second
                       : producer           ? nullptr
                                            : first(graph);
    ir::Node* node = graph.add_node(
        "Cast", {value},
        std::vector<std::string>{value->name() + (half ? "_half" : "_float")},
        before);
    node->name = node->output()->name() + "_Cast";
    node->set_attr("to",
                   static_cast<int64_t>(half ? kHalf : ir::DataType::kFloat));
    node->output()->type = value->type;
    node->output()->type.elem = half ? kHalf : ir::DataType::kFloat;
    return cast = node->output();
  }

  ir::Node* first(const ir::Graph& graph) const {
    auto found = first_.find(&graph);
    return found == first_.end() ? nullptr : found->second;
  }

  // In place where nothing wants it in float.
  ir::Value* constant(ir::Value* value, bool half) {
    if (!half) return value;
    ir::Value*& stored = casts_[value];
    if (stored) return stored;
    if (wanted_float_.contains(value))
      return stored = value->graph().add_constant(
                 value->name() + "_half", narrowed(value->tensor(), kHalf));
    halves_.push_back(value);
    return stored = value;
  }

  // The output keeps its name.
  void connect_output(ir::Graph& graph, size_t index) {
    ir::Value* value = graph.outputs()[index];
    const bool half = !options_.keep_io && &graph == model_.graph.get() &&
                      !value->is_constant();
    ir::Value* to = as(value, half);
    // A half value that cannot take over the name stays behind its Cast.
    if (to == value || !to->producer() || to->is_graph_output()) return;
    const std::string name = value->name();
    graph.set_output(index, to);
    // An outer graph's value, or one that stays an output: its name is taken.
    if (&value->graph() != &graph || value->is_graph_output()) return;
    graph.rename(value, graph.unique_name(name + (half ? "_float" : "_half")));
    graph.rename(to, name);
  }

  static void set_attributes(ir::Node& node) {
    if (node.is("Cast")) node.set_attr("to", static_cast<int64_t>(kHalf));
    if (!node.is("ConstantOfShape")) return;
    const ir::Tensor* fill = node.attr_tensor("value");
    node.set_attr(
        "value", fill ? narrowed(*fill, kHalf) : ir::Tensor::zeros(kHalf, {1}));
  }

  // Casts of the model that have become half to half, or have no reader left.
  void drop_idle_casts() {
    ir::for_each_graph(*model_.graph, [](ir::Graph& graph) {
      for (ir::Node* node : graph.node_list()) {
        if (!node->is("Cast") || !node->output() || !node->input(0)) continue;
        const int64_t to = node->attr_int("to", 0);
        const bool idle = to == static_cast<int64_t>(kHalf) &&
                          node->input(0)->type.elem == kHalf &&
                          !node->output()->is_graph_output();
        if (idle) graph.replace_all_uses(node->output(), node->input(0));
        if (node->output()->unused()) graph.remove_node(node);
      }
    });
  }

  ir::Model& model_;
  const HalfPlan& plan_;
  const HalfOptions& options_;
  std::vector<ir::Node*> nodes_;  // that compute in half
  std::vector<Reader> readers_;
  std::vector<std::pair<ir::Graph*, size_t>> outputs_;
  std::vector<ir::Value*> halves_;
  std::set<const ir::Value*> wanted_float_;
  std::map<const ir::Value*, ir::Value*> casts_;  // value -> the other type
  std::map<const ir::Node*, ir::Node*> next_;
  std::map<const ir::Graph*, ir::Node*> first_;
};

std::vector<std::string> float_values(const ir::Graph& graph) {
  std::vector<std::string> names;
  for (const ir::Value* value : graph.values())
    if (is_float(value) && !value->has_initializer() &&
        (value->producer() || value->is_graph_input()))
      names.push_back(value->name());
  return names;
}

class Float16 final : public Pass {
 public:
  explicit Float16(HalfOptions options) : options_(std::move(options)) {}

  std::string name() const override { return "float16"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    PassResult result;
    if (model.opset() < kLowestOpset)
      result.add(rewrite::make_raise_opset(kRaisedOpset)->run(model, context));
    result.add(rewrite::make_constants_to_initializers()->run(model, context));
    ir::infer_shapes(model);
    ActivationRanges ranges;
    const std::vector<std::string> names = float_values(*model.graph);
    if (context.ranges && !names.empty())
      ranges = context.ranges->collect(model, names, {.name = "min_max"},
                                       *context.progress, context.cancel);
    result.add({0, unknown_node_remarks(*model.graph, options_.exclude_nodes,
                                        "exclude_nodes")});
    const HalfPlan plan(model, options_, ranges);
    result.add({0, plan.remarks(), {}});
    result.changes += Converter(model, plan, options_).run();
    return result;
  }

 private:
  HalfOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_float16(HalfOptions options) {
  return std::make_unique<Float16>(std::move(options));
}

}  // namespace lathe::quantize
