// Transposes move towards others that they cancel, as the runtime's transpose
// optimizer moves them (core/optimizer/transpose_optimization): through an
// operator where fewer axes are then transposed in front of it and, unless its
// result leads to another Transpose, around it.
#include "calibration/latency/kernel_rules_transpose.h"

#include <algorithm>
#include <unordered_set>

namespace lathe::latency {
namespace {

using Dims = std::vector<int64_t>;

enum class Way {
  kAllInputs,  // every input and output alike
  kFirstInput,
  kBroadcast,  // inputs of lower rank gain axes of one element
  kConcat,
  kSplit,
  kReduce,
  kArgument,  // ArgMax, ArgMin
  kSqueeze,
  kUnsqueeze,
  kSlice,
  kGather,
  kPad,
  kSoftmax,
  kTranspose,
  kReshape,
  kResize,   // levels 2 and 3
  kMaxPool,  // levels 2 and 3, of 8 bit
  kQConcat,
  kQBinary,
  kQPool,
};

struct Row {
  std::string_view op;
  Way way;
};
constexpr Row kRows[] = {
    {"Cast", Way::kAllInputs},
    {"Exp", Way::kAllInputs},
    {"Identity", Way::kAllInputs},
    {"LeakyRelu", Way::kAllInputs},
    {"Log", Way::kAllInputs},
    {"Reciprocal", Way::kAllInputs},
    {"Relu", Way::kAllInputs},
    {"Sigmoid", Way::kAllInputs},
    {"Sqrt", Way::kAllInputs},
    {"Tanh", Way::kAllInputs},
    {"Abs", Way::kAllInputs},
    {"Not", Way::kAllInputs},
    {"Ceil", Way::kAllInputs},
    {"Floor", Way::kAllInputs},
    {"Neg", Way::kAllInputs},
    {"Erf", Way::kAllInputs},
    {"HardSigmoid", Way::kAllInputs},
    {"Round", Way::kAllInputs},
    {"Selu", Way::kAllInputs},
    {"Sign", Way::kAllInputs},
    {"Softplus", Way::kAllInputs},
    {"Softsign", Way::kAllInputs},
    {"Celu", Way::kAllInputs},
    {"HardSwish", Way::kAllInputs},
    {"Sin", Way::kAllInputs},
    {"Cos", Way::kAllInputs},
    {"Add", Way::kBroadcast},
    {"Max", Way::kBroadcast},
    {"Min", Way::kBroadcast},
    {"Mul", Way::kBroadcast},
    {"Sub", Way::kBroadcast},
    {"Div", Way::kBroadcast},
    {"And", Way::kBroadcast},
    {"Or", Way::kBroadcast},
    {"Mod", Way::kBroadcast},
    {"PRelu", Way::kBroadcast},
    {"Equal", Way::kBroadcast},
    {"Greater", Way::kBroadcast},
    {"Less", Way::kBroadcast},
    {"Mean", Way::kBroadcast},
    {"Sum", Way::kBroadcast},
    {"Pow", Way::kBroadcast},
    {"Where", Way::kBroadcast},
    {"Clip", Way::kFirstInput},
    {"Transpose", Way::kTranspose},
    {"Concat", Way::kConcat},
    {"Split", Way::kSplit},
    {"Pad", Way::kPad},
    {"ReduceMax", Way::kReduce},
    {"ReduceMean", Way::kReduce},
    {"ReduceMin", Way::kReduce},
    {"ReduceSum", Way::kReduce},
    {"ReduceProd", Way::kReduce},
    {"ReduceL1", Way::kReduce},
    {"ReduceL2", Way::kReduce},
    {"ReduceSumSquare", Way::kReduce},
    {"ArgMax", Way::kArgument},
    {"ArgMin", Way::kArgument},
    {"Squeeze", Way::kSqueeze},
    {"Unsqueeze", Way::kUnsqueeze},
    {"Slice", Way::kSlice},
    {"Gather", Way::kGather},
    {"Softmax", Way::kSoftmax},
    {"LogSoftmax", Way::kSoftmax},
    {"QuantizeLinear", Way::kFirstInput},
    {"DequantizeLinear", Way::kFirstInput},
    {"Reshape", Way::kReshape},
    {"Resize", Way::kResize},
    {"MaxPool", Way::kMaxPool},
};
constexpr Row kMicrosoftRows[] = {
    {"QLinearAdd", Way::kQBinary},
    {"QLinearMul", Way::kQBinary},
    {"QLinearConcat", Way::kQConcat},
    {"QLinearAveragePool", Way::kQPool},
    {"QLinearGlobalAveragePool", Way::kQPool},
    {"QLinearLeakyRelu", Way::kFirstInput},
    {"QLinearSigmoid", Way::kFirstInput},
    {"QLinearSoftmax", Way::kSoftmax},
};

int64_t normalize(int64_t axis, size_t rank) {
  return axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
}

class Pusher {
 public:
  Pusher(RuleGraph& rules, int level)
      : rules_(rules), mover_(rules), level_(level) {}

  void run() {
    std::vector<ir::Node*> nodes = rules_.graph().node_list();
    find_leading(nodes);
    for (size_t i = 0; i < nodes.size(); ++i) {
      next_ = i + 1 < nodes.size() ? nodes[i + 1] : nullptr;
      visit(nodes[i]);
    }
    rules_.remove_dead();
  }

 private:
  void lead(const ir::Value* value) {
    if (value) leading_.insert(value->name());
  }

  std::optional<Way> way_of(const ir::Node& node) const {
    if (node.domain.empty())
      for (const Row& row : kRows)
        if (row.op == node.op_type) return row.way;
    if (node.domain == kMicrosoftDomain)
      for (const Row& row : kMicrosoftRows)
        if (row.op == node.op_type) return row.way;
    return std::nullopt;
  }

  static bool transposes_outputs(Way way) {
    return way != Way::kTranspose && way != Way::kReshape;
  }

  std::vector<size_t> inputs_of(const ir::Node& node, Way way) const {
    std::vector<size_t> result;
    switch (way) {
      case Way::kAllInputs:
      case Way::kConcat:
        for (size_t i = 0; i < node.inputs().size(); ++i) result.push_back(i);
        return result;
      case Way::kBroadcast:
        for (size_t i = 0; i < node.inputs().size(); ++i) {
          auto dims = RuleGraph::dims(node.input(i));
          if (!dims || !dims->empty()) result.push_back(i);
        }
        return result;
      case Way::kQBinary:
        return {0, 3};
      case Way::kQConcat:
        for (size_t i = 2; i < node.inputs().size(); i += 3)
          result.push_back(i);
        return result;
      default:
        return {0};
    }
  }

  void find_leading(const std::vector<ir::Node*>& nodes) {
    for (size_t i = nodes.size(); i-- > 0;) {
      const ir::Node& node = *nodes[i];
      if (node.is("Transpose")) {
        lead(node.input(0));
        continue;
      }
      std::optional<Way> way = way_of(node);
      if (!way || !transposes_outputs(*way)) continue;
      for (const ir::Value* output : node.outputs())
        if (output && leading_.contains(output->name()))
          for (size_t index : inputs_of(node, *way)) lead(node.input(index));
    }
  }

  static int rank_of(const ir::Value* value) {
    auto dims = RuleGraph::dims(value);
    if (!dims) return 5;
    return static_cast<int>(
        std::ranges::count_if(*dims, [](int64_t dim) { return dim != 1; }));
  }

  bool can_go(const ir::Node& transpose) const {
    const ir::Value* output = transpose.output();
    return !output->is_graph_output() &&
           std::ranges::all_of(output->uses(), [&](const ir::Use& use) {
             return way_of(*use.node).has_value();
           });
  }

  int input_cost(const ir::Value* value, const Perm& perm) const {
    if (!value || mover_.is_constant(value)) return 0;
    const ir::Node* node = value->producer();
    if (node && node->op_type == "DequantizeLinear" && node->input(0) &&
        node->input(0)->producer())
      node = node->input(0)->producer();
    if (std::optional<Perm> other = perm_of(node))
      return *other == perm && can_go(*node) ? -rank_of(value) : 0;
    return rank_of(value);
  }

  bool is_worth(const ir::Node& node, Way way, const Perm& perm,
                const std::vector<size_t>& inputs) const {
    if (way == Way::kTranspose || way == Way::kMaxPool) return true;
    if (way == Way::kResize && RuleGraph::is_8_bit(node.input(0)) &&
        node.attr_string("mode", "nearest") == "linear")
      return true;
    int cost = 0;
    for (size_t index : inputs) cost += input_cost(node.input(index), perm);
    if (cost >= 0 || !transposes_outputs(way)) return cost < 0;
    int out_cost = 0;
    for (const ir::Value* output : node.outputs()) {
      if (!output) continue;
      out_cost = std::max(out_cost, rank_of(output));
      if (leading_.contains(output->name())) return true;
    }
    return cost + out_cost < 0;
  }

  void visit(ir::Node* node) {
    std::optional<Way> way = way_of(*node);
    if (!way) return;
    for (size_t i = 0; i < node->inputs().size(); ++i) {
      ir::Node* transpose = RuleGraph::producer(node->input(i), "Transpose");
      std::optional<Perm> perm = perm_of(transpose);
      if (!perm) continue;
      std::vector<size_t> inputs = inputs_of(*node, *way);
      if (std::ranges::find(inputs, i) == inputs.end() ||
          !is_worth(*node, *way, *perm, inputs))
        continue;
      if (push(node, *way, transpose, *perm, inputs)) return;
    }
  }

  void move(ir::Node* node, const Perm& perm, const std::vector<size_t>& inputs,
            const Perm& out_perm) {
    mover_.move(node, perm, inputs, out_perm, next_);
  }

  std::optional<Dims> axes_of(const ir::Node& node, size_t rank) const {
    std::optional<Dims> axes;
    if (node.has_attribute("axes"))
      axes = node.attr_ints("axes");
    else if (node.input(1))
      axes = rules_.integers(node.input(1));
    if (!axes) return std::nullopt;
    for (int64_t& axis : *axes) {
      axis = normalize(axis, rank);
      if (axis < 0 || axis >= static_cast<int64_t>(rank)) return std::nullopt;
    }
    return axes;
  }

  void set_axes(ir::Node* node, const Dims& axes) {
    if (node->has_attribute("axes"))
      node->set_attr("axes", axes);
    else
      node->set_input(
          1, rules_.graph().add_constant("axes", ir::Tensor::vector_i64(axes)));
  }

  bool move_axis(ir::Node* node, const Perm& perm, int64_t fallback) {
    int64_t axis = normalize(node->attr_int("axis", fallback), perm.size());
    if (axis < 0 || axis >= static_cast<int64_t>(perm.size())) return false;
    node->set_attr("axis", perm[static_cast<size_t>(axis)]);
    return true;
  }

  bool push(ir::Node* node, Way way, ir::Node* transpose, const Perm& perm,
            const std::vector<size_t>& inputs) {
    size_t rank = perm.size();
    switch (way) {
      case Way::kTranspose: {
        std::optional<Perm> own = perm_of(node);
        return own && merge(node, transpose, perm, *own);
      }
      case Way::kReshape:
        return push_reshape(node, transpose, perm);
      case Way::kBroadcast:
      case Way::kQBinary:
        if (!mover_.widen_inputs(node, rank, inputs)) return false;
        break;
      case Way::kConcat:
      case Way::kQConcat:
      case Way::kSplit:
        if (!move_axis(node, perm, 0)) return false;
        break;
      case Way::kSoftmax:
        if (rules_.model().opset() < 13 || !move_axis(node, perm, -1))
          return false;
        break;
      case Way::kArgument: {
        if (!move_axis(node, perm, 0)) return false;
        Dims axes = {node->attr_int("axis", 0)};
        bool keep = node->attr_int("keepdims", 1) != 0;
        move(node, perm, inputs, keep ? perm : squeezed(perm, axes));
        return true;
      }
      case Way::kReduce:
        return push_reduce(node, perm, inputs);
      case Way::kSqueeze: {
        auto axes = axes_of(*node, rank);
        if (!axes) return false;
        for (int64_t& axis : *axes) axis = perm[static_cast<size_t>(axis)];
        std::ranges::sort(*axes);
        set_axes(node, *axes);
        move(node, perm, inputs, squeezed(perm, *axes));
        return true;
      }
      case Way::kUnsqueeze:
        return push_unsqueeze(node, perm, inputs);
      case Way::kSlice:
        if (node->has_attribute("axes") || node->has_attribute("starts")) break;
        if (node->input(3) && !rules_.constant(node->input(3))) return false;
        break;
      case Way::kGather: {
        auto indices = RuleGraph::dims(node->input(1));
        if (!indices || !indices->empty() || !move_axis(node, perm, 0))
          return false;
        Dims axes = {node->attr_int("axis", 0)};
        move(node, perm, inputs, squeezed(perm, axes));
        return true;
      }
      case Way::kResize:
        if (level_ < 2 || rank != 4 ||
            (perm != Perm{0, 2, 3, 1} && perm != Perm{0, 3, 1, 2}))
          return false;
        break;
      case Way::kMaxPool:
        if (level_ < 2 || !RuleGraph::is_8_bit(node->output()) ||
            node->outputs().size() > 1 || perm != inverse(channels_last(rank)))
          return false;
        node->op_type = "NhwcMaxPool";
        node->domain = kMicrosoftDomain;
        node->remove_attribute("storage_order");
        break;
      case Way::kQPool: {
        bool last = node->attr_int("channels_last", 0) != 0;
        Perm wanted = last ? channels_last(rank) : inverse(channels_last(rank));
        if (perm != wanted) return false;
        node->set_attr("channels_last", int64_t{last ? 0 : 1});
        break;
      }
      default:
        break;
    }
    move(node, perm, inputs, perm);
    return true;
  }

  bool push_reduce(ir::Node* node, const Perm& perm,
                   const std::vector<size_t>& inputs) {
    bool keep = node->attr_int("keepdims", 1) != 0;
    bool given = node->has_attribute("axes") || node->input(1);
    if (!given) {
      move(node, perm, inputs, keep ? perm : Perm{});
      return true;
    }
    auto axes = axes_of(*node, perm.size());
    if (!axes) return false;
    for (int64_t& axis : *axes) axis = perm[static_cast<size_t>(axis)];
    std::ranges::sort(*axes);
    set_axes(node, *axes);
    move(node, perm, inputs, keep ? perm : squeezed(perm, *axes));
    return true;
  }

  bool push_unsqueeze(ir::Node* node, const Perm& perm,
                      const std::vector<size_t>& inputs) {
    auto out = RuleGraph::dims(node->output());
    if (!out) return false;
    auto axes = axes_of(*node, out->size());
    if (!axes || axes->size() + perm.size() != out->size()) return false;
    // The new axes stay; the others are permuted among the places left.
    Dims places;
    for (size_t i = 0; i < out->size(); ++i)
      if (std::ranges::find(*axes, static_cast<int64_t>(i)) == axes->end())
        places.push_back(static_cast<int64_t>(i));
    if (places.size() != perm.size()) return false;
    Perm wide(out->size());
    for (int64_t axis : *axes) wide[static_cast<size_t>(axis)] = axis;
    for (size_t i = 0; i < places.size(); ++i)
      wide[static_cast<size_t>(places[i])] =
          places[static_cast<size_t>(perm[i])];
    move(node, perm, inputs, wide);
    return true;
  }

  bool merge(ir::Node* node, ir::Node* transpose, const Perm& perm,
             const Perm& own) {
    if (own.size() != perm.size()) return false;
    ir::Value* source = transpose->input(0);
    Perm both = compose(perm, own);
    if (is_identity(both)) {
      rules_.bypass(node, source);
    } else {
      if (!node->is("Transpose")) {
        node->op_type = "Transpose";
        node->resize_inputs(1);
        node->remove_attribute("allowzero");
      }
      node->set_input(0, source);
      node->set_attr("perm", both);
    }
    mover_.drop_if_unused(transpose);
    return true;
  }

  // A Reshape that only moves axes of one element is a Transpose; one that only
  // splits an axis comes first.
  bool push_reshape(ir::Node* node, ir::Node* transpose, const Perm& perm) {
    auto in = RuleGraph::dims(transpose->output());
    auto out = RuleGraph::dims(node->output());
    if (!in || !out || !rules_.constant(node->input(1))) return false;
    if (std::optional<Perm> own = perm_of_reshape(*in, *out))
      return merge(node, transpose, perm, *own);
    std::optional<Perm> wide = perm_behind_split(*in, *out, perm);
    if (wide) move(node, perm, {0}, *wide);
    return wide.has_value();
  }

  RuleGraph& rules_;
  TransposeMover mover_;
  int level_;
  ir::Node* next_ = nullptr;
  // Names of values that lead to a Transpose.
  std::unordered_set<std::string> leading_;
};

}  // namespace

void push_transposes(RuleGraph& rules, int level) {
  Pusher(rules, level).run();
  repair_quantized_transposes(rules);
}

// Int8 convolutions have kernels for channels last alone that are fast.
void interleave_channels(RuleGraph& rules) {
  std::vector<ir::Node*> nodes = rules.graph().node_list();
  bool any = false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    ir::Node* conv = nodes[i];
    if (conv->op_type != "QLinearConv") continue;
    auto dims = RuleGraph::dims(conv->input(0));
    if (!dims || dims->size() < 3 || !RuleGraph::is_8_bit(conv->input(0)) ||
        conv->attr_int("channels_last", 0))
      continue;
    Perm last = channels_last(dims->size());
    TransposeMover mover(rules);
    mover.transpose_input(conv, 0, last);
    mover.transpose_output(conv, 0, inverse(last),
                           i + 1 < nodes.size() ? nodes[i + 1] : nullptr);
    conv->domain = kMicrosoftDomain;
    conv->set_attr("channels_last", int64_t{1});
    any = true;
  }
  if (any) push_transposes(rules, 3);
}

}  // namespace lathe::latency
