// Arithmetic that convolutions and matrix products take over.
#include <algorithm>

#include "calibration/latency/kernel_rules.h"

namespace lathe::latency {
namespace {

using Dims = std::vector<int64_t>;

bool is_conv(const ir::Node& node) {
  return node.is("Conv") && node.input(0) && node.input(1);
}

// One number a channel: [C, 1, 1], [1, C, 1, 1], or a scalar.
bool is_per_channel(const ir::Value* value, const ir::Value* image,
                    bool scalar_too) {
  auto dims = RuleGraph::dims(value), out = RuleGraph::dims(image);
  if (!dims || !out || out->size() < 3) return false;
  int64_t count = 1;
  for (int64_t dim : *dims) count *= dim;
  if (count == 1) return scalar_too;
  if (dims->size() + 1 != out->size() && dims->size() != out->size())
    return false;
  size_t channel = dims->size() == out->size() ? 1 : 0;
  return (*dims)[channel] == (*out)[1] && count == (*out)[1];
}

bool folds_into_conv(const RuleGraph& rules, const ir::Node& conv,
                     const ir::Node& next) {
  if (!rules.constant(conv.input(1)) ||
      (conv.input(2) && !rules.constant(conv.input(2))))
    return false;
  if (next.is("BatchNormalization"))
    return next.input(0) == conv.output() && rules.constant(next.input(1)) &&
           (next.outputs().size() < 2 || !next.output(1));
  if (!next.is("Mul") && !next.is("Add")) return false;
  const ir::Value* other = RuleGraph::other_input(next, conv.output());
  return other != conv.output() && rules.constant(other) &&
         is_per_channel(other, conv.output(), next.is("Mul"));
}

// A Pad of zeros goes into the convolution's own padding.
void fold_pads(RuleGraph& rules) {
  for (ir::Node* pad : rules.graph().node_list()) {
    if (!pad->is("Pad") || pad->attr_string("mode", "constant") != "constant")
      continue;
    ir::Node* next = RuleGraph::only_user(pad->output());
    if (!next || !is_conv(*next) || next->input(0) != pad->output()) continue;
    std::optional<Dims> pads = pad->has_attribute("pads")
                                   ? pad->attr_ints("pads")
                                   : rules.integers(pad->input(1));
    auto dims = RuleGraph::dims(pad->input(0));
    if (!pads || !dims || pads->size() != 2 * dims->size()) continue;
    if (pad->input(2) && rules.scalar(pad->input(2)) != 0.0) continue;
    size_t rank = dims->size();
    bool spatial = (*pads)[0] == 0 && (*pads)[1] == 0 && (*pads)[rank] == 0 &&
                   (*pads)[rank + 1] == 0;
    if (!spatial || std::ranges::any_of(*pads, [](int64_t p) { return p < 0; }))
      continue;
    Dims own = next->attr_ints("pads", Dims(2 * (rank - 2), 0));
    if (own.size() != 2 * (rank - 2)) continue;
    for (size_t i = 0; i < rank - 2; ++i) {
      own[i] += (*pads)[i + 2];
      own[rank - 2 + i] += (*pads)[rank + 2 + i];
    }
    next->set_attr("pads", own);
    rules.bypass(pad, pad->input(0), next);
  }
}

bool takes_bias(const ir::Node& product, const ir::Value* bias,
                bool needs_reshape) {
  auto a = RuleGraph::dims(product.input(0)),
       b = RuleGraph::dims(product.input(1));
  auto c = RuleGraph::dims(bias);
  if (!a || !b || !c || b->size() != 2) return false;
  int64_t columns = (*b)[1];
  if (c->size() == 1) return (*c)[0] == columns;
  if (needs_reshape || c->size() != 2 || a->size() != 2) return false;
  if ((*c)[0] == 1) return (*c)[1] == columns;
  return (*c)[0] == (*a)[0] && ((*c)[1] == 1 || (*c)[1] == columns);
}

// Three products and one Add behind a LayerNormalization: an attention block
// as BERT has it.
bool feeds_attention(const ir::Value* normalized) {
  if (!RuleGraph::producer(normalized, "LayerNormalization")) return false;
  size_t adds = 0, products = 0;
  const ir::Node* add = nullptr;
  for (const ir::Use& use : normalized->uses()) {
    if (use.node->is("Add")) {
      ++adds;
      add = use.node;
    } else if (use.node->is("MatMul")) {
      ++products;
    }
  }
  return adds == 1 && products == 3 && normalized->uses().size() == 4 &&
         RuleGraph::producer(RuleGraph::other_input(*add, normalized), "Add");
}

bool behind_attention(const ir::Node& add) {
  // The Add of the output projection: its sum with the block's input.
  ir::Node* sum = RuleGraph::only_user(add.output());
  if (!sum || !sum->is("Add")) return false;
  return feeds_attention(RuleGraph::other_input(*sum, add.output()));
}

void fuse_bias(RuleGraph& rules, ir::Node& product, ir::Node& add) {
  auto a = RuleGraph::dims(product.input(0));
  ir::Value* bias = RuleGraph::other_input(add, product.output());
  ir::Value* left = product.input(0);
  ir::Value* right = product.input(1);
  if (a->size() == 2) {
    rules.fuse(&add, {&product}, "Gemm", "", {left, right, bias});
    return;
  }
  auto b = RuleGraph::dims(right);
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < a->size(); ++i) rows *= (*a)[i];
  ir::ValueType flat = left->type, wide = add.output()->type;
  flat.shape = ir::to_shape({rows, (*b)[0]});
  wide.shape = ir::to_shape({rows, (*b)[1]});
  ir::ValueType shape;
  shape.elem = ir::DataType::kInt64;
  shape.shape = ir::Shape{ir::Dim(2)};
  ir::Node* before = rules.insert(
      "Reshape", "", {left, rules.constant_like(shape)}, flat, &add);
  ir::Node* gemm =
      rules.insert("Gemm", "", {before->output(), right, bias}, wide, &add);
  rules.inherit(gemm, &add);
  shape.shape = ir::Shape{ir::Dim(static_cast<int64_t>(a->size()))};
  rules.fuse(&add, {}, "Reshape", "",
             {gemm->output(), rules.constant_like(shape)});
  rules.inherit(gemm, &product);
  if (product.output()->unused()) rules.graph().remove_node(&product);
}

void fuse_biases(RuleGraph& rules, bool spare_attention) {
  for (ir::Node* product : rules.graph().node_list()) {
    if (!product->is("MatMul") || !RuleGraph::is_float(product->output()))
      continue;
    ir::Node* add = RuleGraph::only_user(product->output());
    if (!add || !add->is("Add")) continue;
    const ir::Value* bias = RuleGraph::other_input(*add, product->output());
    auto a = RuleGraph::dims(product->input(0));
    if (!a || bias == product->output()) continue;
    bool reshape = a->size() != 2;
    if (!takes_bias(*product, bias, reshape)) continue;
    if (reshape && spare_attention &&
        (feeds_attention(product->input(0)) || behind_attention(*add)))
      continue;
    fuse_bias(rules, *product, *add);
  }
}

bool is_gemm_activation(const ir::Node& node) {
  for (const char* op : {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu",
                         "HardSigmoid", "Softplus", "Softsign",
                         "ThresholdedRelu", "ScaledTanh", "ParametricSoftplus"})
    if (node.is(op)) return true;
  return false;
}

bool swaps_last_two(const ir::Node& transpose) {
  std::vector<int64_t> perm = transpose.attr_ints("perm");
  auto dims = RuleGraph::dims(transpose.input(0));
  if (perm.empty() && dims && dims->size() == 2) return true;
  size_t rank = perm.size();
  if (rank < 2) return false;
  for (size_t i = 0; i + 2 < rank; ++i)
    if (perm[i] != static_cast<int64_t>(i)) return false;
  return perm[rank - 1] == static_cast<int64_t>(rank - 2);
}

void transpose_gemms(RuleGraph& rules) {
  for (ir::Node* gemm : rules.graph().node_list()) {
    if (!gemm->is("Gemm")) continue;
    for (size_t i = 0; i < 2; ++i) {
      ir::Node* transpose = RuleGraph::producer(gemm->input(i), "Transpose");
      if (!transpose || !swaps_last_two(*transpose)) continue;
      const char* name = i ? "transB" : "transA";
      gemm->set_attr(name, int64_t{1} - gemm->attr_int(name, 0));
      gemm->set_input(i, transpose->input(0));
      if (!transpose->output()->unused()) continue;
      rules.inherit(gemm, transpose);
      rules.graph().remove_node(transpose);
    }
  }
}

void fuse_activation(RuleGraph& rules, ir::Node* node, ir::Node* next,
                     const char* op) {
  std::string activation = next->op_type;
  rules.fuse(next, {node}, op, kMicrosoftDomain, node->inputs(), node);
  next->set_attr("activation", activation);
}

// A scale before or behind a product, by a Mul or Div with a scalar.
ir::Node* scale_of(const RuleGraph& rules, ir::Node* node) {
  if (!node || (!node->is("Mul") && !node->is("Div"))) return nullptr;
  if (rules.scalar(node->input(1))) return node;
  return node->is("Mul") && rules.scalar(node->input(0)) ? node : nullptr;
}

ir::Value* scaled_value(const RuleGraph& rules, const ir::Node& scale) {
  return rules.scalar(scale.input(1)) ? scale.input(0) : scale.input(1);
}

}  // namespace

bool is_fused_activation(const RuleGraph& rules, const ir::Node& node) {
  for (const char* op : {"Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid"})
    if (node.is(op)) return true;
  if (!node.is("Clip")) return false;
  auto fixed = [&](const ir::Value* value) {
    return !value || rules.constant(value);
  };
  return fixed(node.input(1)) && fixed(node.input(2));
}

void fold_into_convs(RuleGraph& rules) {
  fold_pads(rules);
  for (ir::Node* conv : rules.graph().node_list()) {
    if (!is_conv(*conv)) continue;
    while (ir::Node* next = RuleGraph::only_user(conv->output())) {
      if (!folds_into_conv(rules, *conv, *next)) break;
      ir::Value* bias = conv->input(2);
      auto weight = RuleGraph::dims(conv->input(1));
      if (!bias && !next->is("Mul") && weight) {
        ir::ValueType type = conv->input(1)->type;
        type.shape = ir::to_shape({(*weight)[0]});
        bias = rules.constant_like(type);
      }
      std::vector<ir::Value*> inputs = {conv->input(0), conv->input(1)};
      if (bias) inputs.push_back(bias);
      rules.fuse(next, {conv}, "Conv", "", inputs, conv);
      conv = next;
    }
  }
}

void fuse_products(RuleGraph& rules) {
  for (ir::Node* relu : rules.graph().node_list()) {
    ir::Node* clip =
        relu->is("Relu") ? RuleGraph::only_user(relu->output()) : nullptr;
    if (clip && clip->is("Clip")) rules.bypass(relu, relu->input(0), clip);
  }
  transpose_gemms(rules);
  fuse_biases(rules, /*spare_attention=*/true);
}

// Reshape, Squeeze, Unsqueeze or Flatten in a row are one Reshape.
void merge_reshapes(RuleGraph& rules) {
  auto reshapes = [](const ir::Node* node) {
    if (!node) return false;
    for (const char* op : {"Reshape", "Squeeze", "Unsqueeze", "Flatten"})
      if (node->is(op)) return true;
    return false;
  };
  for (ir::Node* node : rules.graph().node_list()) {
    if (!node->is("Reshape") || !node->input(0)) continue;
    ir::Node* before = node->input(0)->producer();
    if (!reshapes(before) || RuleGraph::only_user(before->output()) != node ||
        !rules.constant(node->input(1)))
      continue;
    rules.fuse(node, {}, "Reshape", "", {before->input(0), node->input(1)});
    rules.inherit(node, before);
    rules.graph().remove_node(before);
  }
}

void fuse_activations(RuleGraph& rules) {
  for (ir::Node* node : rules.graph().node_list()) {
    if (!RuleGraph::is_float(node->output())) continue;
    ir::Node* next = RuleGraph::only_user(node->output());
    if (!next) continue;
    if (is_conv(*node) && is_fused_activation(rules, *next))
      fuse_activation(rules, node, next, "FusedConv");
    else if (node->is("Gemm") && is_gemm_activation(*next))
      fuse_activation(rules, node, next, "FusedGemm");
  }
}

// What was spared for attention is fused in the end.
void fuse_spared_products(RuleGraph& rules) {
  fuse_biases(rules, /*spare_attention=*/false);
}

void fuse_product_scales(RuleGraph& rules) {
  for (ir::Node* product : rules.graph().node_list()) {
    if (!product->is("MatMul") || !RuleGraph::is_float(product->output()))
      continue;
    ir::Value* inputs[2] = {product->input(0), product->input(1)};
    bool fused = false;
    for (size_t i = 0; i < 2; ++i) {
      ir::Node* transpose = RuleGraph::producer(inputs[i], "Transpose");
      if (transpose && swaps_last_two(*transpose)) {
        product->set_attr(i ? "transB" : "transA", int64_t{1});
        inputs[i] = transpose->input(0);
        fused = true;
      }
      ir::Node* scale =
          scale_of(rules, inputs[i] ? inputs[i]->producer() : nullptr);
      if (scale && RuleGraph::only_user(scale->output())) {
        inputs[i] = scaled_value(rules, *scale);
        fused = true;
      }
    }
    std::vector<ir::Node*> gone;
    for (size_t i = 0; i < 2; ++i)
      for (ir::Value* at = product->input(i); at != inputs[i];) {
        ir::Node* node = at->producer();
        if (RuleGraph::only_user(at)) gone.push_back(node);
        at =
            node->is("Transpose") ? node->input(0) : scaled_value(rules, *node);
      }
    if (fused) {
      std::vector<ir::Value*> both(inputs, inputs + 2);
      rules.fuse(product, {}, "FusedMatMul", kMicrosoftDomain, both, product);
      for (ir::Node* node : gone) {
        rules.inherit(product, node);
        if (node->output()->unused()) rules.graph().remove_node(node);
      }
    }
    ir::Node* scale = scale_of(rules, RuleGraph::only_user(product->output()));
    if (!scale) continue;
    rules.fuse(scale, {product}, "FusedMatMul", kMicrosoftDomain,
               product->inputs(), product);
  }
  rules.remove_dead();
}

// Behind the layouts: a plain convolution that another value is added to.
void fuse_plain_adds(RuleGraph& rules) {
  for (ir::Node* add : rules.graph().node_list()) {
    if (!add->is("Add") || !RuleGraph::is_float(add->output())) continue;
    auto a = RuleGraph::dims(add->input(0)), b = RuleGraph::dims(add->input(1));
    if (!a || a != b || a->size() != 4) continue;
    for (size_t i = 0; i < 2; ++i) {
      ir::Node* conv = add->input(i)->producer();
      if (!conv || !is_conv(*conv) || !conv->input(2) ||
          RuleGraph::only_user(conv->output()) != add)
        continue;
      std::vector<ir::Value*> inputs = conv->inputs();
      inputs.resize(3);
      inputs.push_back(add->input(1 - i));
      rules.fuse(add, {conv}, "FusedConv", kMicrosoftDomain, inputs, conv);
      ir::Node* next = RuleGraph::only_user(add->output());
      if (next && is_fused_activation(rules, *next)) {
        fuse_activation(rules, add, next, "FusedConv");
      }
      break;
    }
  }
}

}  // namespace lathe::latency
