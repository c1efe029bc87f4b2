// Float convolutions in the NCHWc layout, and what stays in it around them:
// one walk in execution order, then reorders where a blocked value is read by
// something else (core/optimizer/nchwc_transformer.cc).
#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "calibration/latency/kernel_rules.h"

namespace lathe::latency {
namespace {

using Dims = std::vector<int64_t>;

// Reorders copy four channels at a time.
constexpr int64_t kReorderAlignment = 4;

class Blocker {
 public:
  explicit Blocker(RuleGraph& rules)
      : rules_(rules), block_(rules.traits().nchwc_block) {}

  void run() {
    for (ir::Node* node : rules_.graph().node_list()) visit(node);
    unblock();
    rules_.remove_dead();
    rules_.sort();
  }

 private:
  bool blocked(const ir::Value* value) const {
    return value && blocked_.contains(value);
  }

  static bool is_image(const ir::Value* value) {
    auto dims = RuleGraph::dims(value);
    return RuleGraph::is_float(value) && dims && dims->size() == 4;
  }

  void visit(ir::Node* node) {
    if (node->is("Conv") || node->is("FusedConv", kMicrosoftDomain))
      return visit_conv(node);
    if (node->is("MaxPool") || node->is("AveragePool")) return visit_pool(node);
    bool any = std::ranges::any_of(
        node->inputs(), [&](const ir::Value* v) { return blocked(v); });
    if (!any) return;
    if (node->is("GlobalAveragePool") || node->is("GlobalMaxPool"))
      return visit_pool(node);
    if (node->is("Add") || node->is("Sum")) return visit_sum(node);
    if (node->is("Mul")) return keep_if_same(node);
    if (node->is("Concat")) return visit_concat(node);
    if (node->is("BatchNormalization")) return visit_normalization(node);
    if (node->is("Transpose")) return visit_transpose(node);
    if (node->is("Resize") || node->is("Upsample")) return visit_resize(node);
    if (is_activation(*node)) return visit_activation(node);
  }

  static bool is_activation(const ir::Node& node) {
    for (const char* op :
         {"Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish"})
      if (node.is(op)) return true;
    for (const char* op : {"Gelu", "QuickGelu"})
      if (node.is(op, kMicrosoftDomain)) return true;
    return false;
  }

  // --- Operators ---

  void visit_conv(ir::Node* conv) {
    auto weight = RuleGraph::dims(conv->input(1));
    auto image = RuleGraph::dims(conv->input(0));
    if (!weight || weight->size() != 4 || !image || image->size() != 4 ||
        !RuleGraph::is_float(conv->input(0)) ||
        !rules_.constant(conv->input(1)) || conv->input(3) ||
        (conv->input(2) && !rules_.constant(conv->input(2))))
      return;
    int64_t out = (*weight)[0], in = (*weight)[1];
    int64_t group = conv->attr_int("group", 1);
    bool reads_plain = false;
    if (group > 1) {
      bool depthwise = in == 1 && out == group;
      bool aligned =
          in % block_ == 0 && out % group == 0 && (out / group) % block_ == 0;
      if (!depthwise && !aligned) return;
    } else {
      reads_plain = in < block_;
    }
    if (!reads_plain && (*image)[1] % kReorderAlignment != 0) return;
    if (!reads_plain) take_input(conv);
    conv->op_type = "Conv";
    become_blocked(conv);
  }

  void visit_pool(ir::Node* pool) {
    auto dims = RuleGraph::dims(pool->input(0));
    if (!is_image(pool->input(0)) || !dims || (*dims)[1] % block_ != 0 ||
        (pool->outputs().size() > 1 && pool->output(1)))
      return;
    take_input(pool);
    become_blocked(pool);
  }

  // Input 0 as a blocked value, reordered where it is none.
  void take_input(ir::Node* node) {
    ir::Value* input = node->input(0);
    if (blocked(input)) {
      note_use(node, 0);
      return;
    }
    auto [found, added] = reordered_.emplace(input, nullptr);
    if (added) {
      ir::Value* source = input;
      ir::Node* transpose = RuleGraph::producer(input, "Transpose");
      bool last = transpose && transpose->attr_ints("perm") == Dims{0, 3, 1, 2};
      if (last) source = transpose->input(0);
      ir::Node* reorder = rules_.insert("ReorderInput", kNchwcDomain, {source},
                                        input->type, node);
      if (last) reorder->set_attr("channels_last", int64_t{1});
      found->second = reorder->output();
      blocked_.insert(reorder->output());
    }
    node->set_input(0, found->second);
    note_use(node, 0);
  }

  void become_blocked(ir::Node* node) {
    node->domain = kNchwcDomain;
    blocked_.insert(node->output());
  }

  bool same_shapes(const ir::Node& node) const {
    auto first = RuleGraph::dims(node.input(0));
    if (!first) return false;
    return std::ranges::all_of(node.inputs(), [&](const ir::Value* value) {
      return blocked(value) && RuleGraph::dims(value) == first;
    });
  }

  void keep_if_same(ir::Node* node) {
    if (!same_shapes(*node)) return;
    keep(node);
  }

  void keep(ir::Node* node) {
    for (size_t i = 0; i < node->inputs().size(); ++i) note_use(node, i);
    blocked_.insert(node->output());
  }

  // A convolution that can still take something over.
  static ir::Node* open_conv(const ir::Value* value) {
    ir::Node* conv = value->producer();
    if (!conv || !conv->is("Conv", kNchwcDomain) ||
        conv->has_attribute("activation") ||
        value->uses().size() + static_cast<size_t>(value->output_uses()) != 1)
      return nullptr;
    return conv;
  }

  void visit_sum(ir::Node* sum) {
    if (!same_shapes(*sum)) return broadcast_sum(sum);
    if (sum->inputs().size() == 2)
      for (size_t i = 0; i < 2; ++i) {
        ir::Node* conv = open_conv(sum->input(i));
        if (!conv || conv->input(3)) continue;
        ir::Value* other = sum->input(1 - i);
        ir::Value* result = sum->input(i);
        conv->set_input(3, other);
        note_use(conv, 3);
        rules_.bypass(sum, result, conv);
        return;
      }
    keep(sum);
  }

  // Same channels, other sizes: blocks become an axis of their own.
  void broadcast_sum(ir::Node* sum) {
    auto out = RuleGraph::dims(sum->output());
    if (!out || out->size() != 4 || (*out)[1] % block_ != 0) return;
    for (const ir::Value* input : sum->inputs()) {
      auto dims = RuleGraph::dims(input);
      if (!blocked(input) || !dims || (*dims)[1] != (*out)[1]) return;
    }
    ir::ValueType shape;
    shape.elem = ir::DataType::kInt64;
    shape.shape = ir::to_shape({5});
    auto split = [&](const Dims& dims) {
      return Dims{dims[0], dims[1] / block_, dims[2], dims[3], block_};
    };
    for (size_t i = 0; i < sum->inputs().size(); ++i) {
      ir::Value* input = sum->input(i);
      ir::ValueType type = input->type;
      type.shape = ir::to_shape(split(*RuleGraph::dims(input)));
      ir::Node* reshape = rules_.insert(
          "Reshape", "", {input, rules_.constant_like(shape)}, type, sum);
      note_use(reshape, 0);
      sum->set_input(i, reshape->output());
    }
    ir::ValueType whole = sum->output()->type;
    ir::Value* result = sum->output();
    shape.shape = ir::to_shape({4});
    ir::Node* join = rules_.insert("Reshape", "", {}, whole, nullptr);
    rules_.graph().replace_all_uses(result, join->output());
    join->set_input(0, result);
    join->set_input(1, rules_.constant_like(shape));
    result->type.shape = ir::to_shape(split(*out));
    blocked_.insert(join->output());
  }

  void visit_concat(ir::Node* concat) {
    if (concat->attr_int("axis", 0) != 1) return;
    for (const ir::Value* input : concat->inputs()) {
      auto dims = RuleGraph::dims(input);
      if (!blocked(input) || !dims || (*dims)[1] % block_ != 0) return;
    }
    keep(concat);
  }

  void visit_activation(ir::Node* node) {
    if (node->inputs().size() != 1 || !blocked(node->input(0))) return;
    ir::Value* input = node->input(0);
    ir::Node* conv = node->domain.empty() ? open_conv(input) : nullptr;
    if (!conv) return keep(node);
    conv->set_attr("activation", node->op_type);
    rules_.bypass(node, input, conv);
  }

  // A depthwise 1x1 convolution.
  void visit_normalization(ir::Node* node) {
    auto dims = RuleGraph::dims(node->input(0));
    if (!blocked(node->input(0)) || !dims || !rules_.constant(node->input(1)) ||
        (node->outputs().size() > 1 && node->output(1)))
      return;
    ir::ValueType weight = node->input(1)->type, bias = weight;
    weight.shape = ir::to_shape({(*dims)[1], 1, 1, 1});
    rules_.fuse(node, {}, "Conv", kNchwcDomain,
                {node->input(0), rules_.constant_like(weight),
                 rules_.constant_like(bias)});
    node->set_attr("group", (*dims)[1]);
    note_use(node, 0);
    blocked_.insert(node->output());
  }

  void visit_transpose(ir::Node* node) {
    auto dims = RuleGraph::dims(node->input(0));
    if (!blocked(node->input(0)) || !dims ||
        node->attr_ints("perm") != Dims{0, 2, 3, 1})
      return;
    rules_.fuse(node, {}, "ReorderOutput", kNchwcDomain, {node->input(0)});
    node->set_attr("channels_last", int64_t{1});
    node->set_attr("channels", (*dims)[1]);
    note_use(node, 0);
  }

  void visit_resize(ir::Node* node) {
    if (!blocked(node->input(0)) || !is_image(node->output())) return;
    std::string mode = node->attr_string("mode", "nearest");
    std::string where =
        node->attr_string("coordinate_transformation_mode",
                          node->is("Upsample") ? "asymmetric" : "half_pixel");
    bool nearest =
        mode == "nearest" && where == "asymmetric" &&
        node->attr_string(
            "nearest_mode",
            node->is("Upsample") ? "floor" : "round_prefer_floor") == "floor";
    bool linear =
        mode == "linear" && (where == "asymmetric" || where == "half_pixel" ||
                             where == "align_corners");
    if (!nearest && !linear) return;
    auto in = RuleGraph::dims(node->input(0));
    auto out = RuleGraph::dims(node->output());
    if (!in || !out || (*in)[0] != (*out)[0] || (*in)[1] != (*out)[1]) return;
    for (size_t i = 2; i < 4; ++i)
      if ((*in)[i] <= 0 || (*out)[i] % (*in)[i] != 0) return;
    Dims scales = {1, 1, (*out)[2] / (*in)[2], (*out)[3] / (*in)[3]};
    rules_.fuse(node, {}, "Upsample", kNchwcDomain, {node->input(0)});
    node->set_attr("scales", scales);
    node->set_attr("mode", mode);
    note_use(node, 0);
    blocked_.insert(node->output());
  }

  // --- Borders ---

  void note_use(const ir::Node* node, size_t index) {
    reads_blocked_[node].insert(index);
  }

  bool reads_blocked(const ir::Use& use) const {
    auto found = reads_blocked_.find(use.node);
    return found != reads_blocked_.end() && found->second.contains(use.index);
  }

  void unblock() {
    // In the graph's order, so that equal models give equal graphs.
    for (ir::Value* value : rules_.graph().values()) {
      if (!blocked(value)) continue;
      std::vector<ir::Use> plain;
      for (const ir::Use& use : value->uses())
        if (!reads_blocked(use)) plain.push_back(use);
      if (plain.empty() && !value->is_graph_output()) continue;
      auto dims = RuleGraph::dims(value);
      ir::Node* reorder = rules_.insert("ReorderOutput", kNchwcDomain, {value},
                                        value->type, nullptr);
      if (dims) reorder->set_attr("channels", (*dims)[1]);
      for (const ir::Use& use : plain)
        use.node->set_input(use.index, reorder->output());
      for (size_t i = 0; i < rules_.graph().outputs().size(); ++i)
        if (rules_.graph().outputs()[i] == value)
          rules_.graph().set_output(i, reorder->output());
    }
  }

  RuleGraph& rules_;
  int64_t block_;
  std::unordered_set<const ir::Value*> blocked_;
  std::unordered_map<const ir::Value*, ir::Value*> reordered_;
  std::unordered_map<const ir::Node*, std::unordered_set<size_t>>
      reads_blocked_;
};

}  // namespace

void block_channels(RuleGraph& rules) { Blocker(rules).run(); }

}  // namespace lathe::latency
