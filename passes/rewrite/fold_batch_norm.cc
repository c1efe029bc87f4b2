// fold_batch_norm: BatchNormalization into the weights before it.
//
//   before: y = BatchNormalization(Conv(x, w, b), g, beta, m, v) epsilon
//   after:  y = Conv(x, w', b')
//
//   f  = g / sqrt(v + epsilon)       for each output channel, in double
//   w' = w * f                       along the channel axis
//   b' = (b - m) * f + beta          b is 0 where absent
//
// The same for ConvTranspose (the channel axis lies inside each group) and for
// Gemm (columns of B; beta_gemm * C takes the part of b).
// A Conv's weight may be codes with a scale for each output channel:
//
//   w = DequantizeLinear(codes, scale, zero)   scale' = scale * f
//
// Conditions: inference; constant parameters and weights; the convolution's
// output has no other use and is no graph output. Everything else is a remark.
// Source: Ioffe and Szegedy, "Batch Normalization" (2015), section 3.1; ONNX
// operator BatchNormalization.
#include <algorithm>
#include <cmath>

#include "passes/rewrite/graph_edits.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::rewrite {
namespace {

// What BatchNormalization does to a channel: y = x * factor + offset.
struct ChannelAffine {
  std::vector<double> factor, offset;
};

// Why a node stays, or "".
using Reason = std::string;

Reason read_parameters(const ir::Node& node, ChannelAffine& out) {
  if (node.attr_int("training_mode", 0) != 0) return "it is in training mode";
  if (node.attr_int("spatial", 1) == 0)
    return "its statistics are for each position, not for each channel";
  for (size_t i = 1; i < node.outputs().size(); ++i)
    if (node.output(i) && !node.output(i)->unused())
      return "its running statistics are used";
  std::vector<double> values[4];
  for (size_t i = 0; i < 4; ++i) {
    const ir::Tensor* tensor = constant_tensor(node.input(i + 1));
    if (!tensor || !ir::is_floating(tensor->type()))
      return "its parameters are not constant";
    values[i] = tensor->to_doubles();
    if (values[i].size() != values[0].size())
      return "its parameters differ in length";
  }
  const auto& [scale, bias, mean, variance] = values;
  double epsilon = node.attr_float("epsilon", 1e-5f);
  for (size_t c = 0; c < scale.size(); ++c) {
    double factor = scale[c] / std::sqrt(variance[c] + epsilon);
    double offset = bias[c] - mean[c] * factor;
    if (!std::isfinite(factor) || !std::isfinite(offset))
      return "channel " + std::to_string(c) +
             " has no finite factor (scale / sqrt(variance + epsilon))";
    out.factor.push_back(factor);
    out.offset.push_back(offset);
  }
  return "";
}

// Multiplies the weight's elements by their output channel's factor; "" or why
// the shapes do not allow it.
Reason scale_weight(const ir::Node& node, const ChannelAffine& affine,
                    const ir::Tensor& weight, ir::Tensor& out) {
  const std::vector<int64_t>& dims = weight.dims();
  auto channels = static_cast<int64_t>(affine.factor.size());
  const std::string mismatch =
      "it has " + std::to_string(channels) +
      " channels, and the weight before it another number of outputs";
  std::vector<double> values = weight.to_doubles();
  // The elements seen as [outer, channel, inner]; `outer` blocks walk through
  // the groups of a ConvTranspose.
  int64_t per_block, inner = 1, group = 1, outer_per_group = 1;
  if (node.is("Gemm")) {
    if (dims.size() != 2) return mismatch;
    bool transposed = node.attr_int("transB", 0) != 0;
    per_block = dims[transposed ? 0 : 1];
    inner = transposed ? dims[1] : 1;
  } else if (node.is("Conv")) {
    if (dims.size() < 3) return mismatch;
    per_block = dims[0];
    for (size_t i = 1; i < dims.size(); ++i) inner *= dims[i];
  } else {
    group = node.attr_int("group", 1);
    if (dims.size() < 3 || group <= 0 || dims[0] % group != 0) return mismatch;
    per_block = dims[1];
    outer_per_group = std::max<int64_t>(dims[0] / group, 1);
    for (size_t i = 2; i < dims.size(); ++i) inner *= dims[i];
  }
  if (per_block * group != channels) return mismatch;
  for (size_t i = 0; i < values.size(); ++i) {
    auto at = static_cast<int64_t>(i) / inner;
    int64_t block = at / per_block;
    int64_t channel = at % per_block;
    if (group > 1) channel += (block / outer_per_group) * per_block;
    values[i] *= affine.factor[static_cast<size_t>(channel)];
  }
  out = ir::Tensor::from_doubles(weight.type(), dims, values);
  return "";
}

// The bias before folding, one element a channel.
Reason read_bias(const ir::Node& node, size_t channels,
                 std::vector<double>& out) {
  out.assign(channels, 0.0);
  const ir::Value* value = node.input(2);
  if (!value) return "";
  const ir::Tensor* tensor = constant_tensor(value);
  if (!tensor) return "the bias of " + node.label() + " is not constant";
  std::vector<double> values = tensor->to_doubles();
  if (values.size() != 1 && values.size() != channels)
    return "the bias of " + node.label() + " is not one number a channel";
  // A column [C, 1] would broadcast along the batch instead.
  if (values.size() == channels && channels > 1 &&
      tensor->dims().back() != static_cast<int64_t>(channels))
    return "the bias of " + node.label() + " is not one number a channel";
  double beta = node.is("Gemm") ? node.attr_float("beta", 1) : 1;
  for (size_t c = 0; c < channels; ++c)
    out[c] = beta * values[values.size() == 1 ? 0 : c];
  return "";
}

Reason scale_codes(const ir::Node& dequantize, const ChannelAffine& affine,
                   ir::Tensor& out) {
  const ir::Tensor& tensor = dequantize.input(1)->tensor();
  std::vector<double> scale = tensor.to_doubles();
  if (scale.size() != affine.factor.size())
    return "it has " + std::to_string(affine.factor.size()) +
           " channels, and the codes before it " + std::to_string(scale.size());
  for (size_t c = 0; c < scale.size(); ++c) scale[c] *= affine.factor[c];
  out = ir::Tensor::from_doubles(tensor.type(), tensor.dims(), scale);
  for (const double value : out.to_doubles())
    if (value == 0 || !std::isfinite(value))
      return "a scale of codes would be " + std::to_string(value);
  return "";
}

// Gives input `index` a new tensor; in place where nobody else uses it.
void set_constant(ir::Node& node, size_t index, const std::string& name,
                  ir::Tensor tensor) {
  ir::Value* value = node.input(index);
  if (value && value->is_constant() && value->uses().size() == 1 &&
      !value->is_graph_output()) {
    value->set_tensor(std::move(tensor));
    return;
  }
  node.set_input(index, node.graph().add_constant(name, std::move(tensor)));
}

Reason fold(ir::Node& norm) {
  ir::Value* x = norm.input(0);
  ir::Node* before = x ? x->producer() : nullptr;
  if (!before) return "its input is computed by no node";
  bool takes =
      before->is("Conv") || before->is("ConvTranspose") || before->is("Gemm");
  if (!takes)
    return "its input comes from " + before->label() +
           ", not from Conv, ConvTranspose or Gemm";
  if (&before->graph() != &norm.graph())
    return before->label() + " is in another graph";
  if (x->is_graph_output())
    return "the output of " + before->label() + " is a graph output";
  if (x->uses().size() != 1)
    return "the output of " + before->label() + " has " +
           std::to_string(x->uses().size()) + " uses";
  ChannelAffine affine;
  if (Reason reason = read_parameters(norm, affine); !reason.empty())
    return reason;
  ir::Node* coded = channel_codes(*before);
  const ir::Tensor* weight =
      constant_tensor(coded ? coded->input(1) : before->input(1));
  if (!weight || !ir::is_floating(weight->type()))
    return "the weight of " + before->label() + " is not constant";
  ir::Tensor scaled;
  if (Reason reason = coded ? scale_codes(*coded, affine, scaled)
                            : scale_weight(*before, affine, *weight, scaled);
      !reason.empty())
    return reason;
  std::vector<double> bias;
  if (Reason reason = read_bias(*before, affine.factor.size(), bias);
      !reason.empty())
    return reason;
  for (size_t c = 0; c < bias.size(); ++c)
    bias[c] = bias[c] * affine.factor[c] + affine.offset[c];
  ir::Tensor new_bias = ir::Tensor::from_doubles(
      weight->type(), {static_cast<int64_t>(bias.size())}, bias);

  std::string base = before->id();
  if (coded)
    coded->input(1)->set_tensor(std::move(scaled));
  else
    set_constant(*before, 1, base + "_weight", std::move(scaled));
  set_constant(*before, 2, base + "_bias", std::move(new_bias));
  if (before->is("Gemm")) before->remove_attribute("beta");
  norm.graph().replace_all_uses(norm.output(), x);
  norm.graph().remove_node(&norm);
  return "";
}

class FoldBatchNorm final : public Pass {
 public:
  std::string name() const override { return "fold_batch_norm"; }

  PassResult run(ir::Model& model, PassContext&) override {
    PassResult result;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      for (ir::Node* node : graph.node_list()) {
        if (!node->is("BatchNormalization") || !node->output()) continue;
        Reason reason = fold(*node);
        if (reason.empty())
          ++result.changes;
        else
          result.remarks.push_back({node->id(), reason});
      }
    });
    // New biases are initializers that are on no input list.
    if (result.changes > 0)
      model.ir_version = std::max<int64_t>(model.ir_version, 4);
    return result;
  }
};

}  // namespace

std::unique_ptr<Pass> make_fold_batch_norm() {
  return std::make_unique<FoldBatchNorm>();
}

}  // namespace lathe::rewrite
