// Floating operators of com.microsoft, as ONNX Runtime documents them; those on
// quantized tensors are in kernels_qlinear.cc.
#include <cmath>
#include <limits>
#include <vector>

#include "passes/exec/affine_tensors.h"

namespace lathe::exec {
namespace {

constexpr std::string_view kMs = "com.microsoft";

using Activation = std::function<at::Tensor(const at::Tensor&)>;

// What a fused operator does last; null when nothing.
Activation fused_activation(const NodeInfo& info, double alpha, double beta,
                            double gamma) {
  using T = at::Tensor;
  const std::string name = info.node.attr_string("activation", "");
  if (name.empty()) return nullptr;
  if (name == "Relu") return [](const T& x) { return at::relu(x); };
  if (name == "Tanh") return [](const T& x) { return at::tanh(x); };
  if (name == "Sigmoid") return [](const T& x) { return at::sigmoid(x); };
  if (name == "Softplus")
    return
        [](const T& x) { return at::relu(x) + at::log1p(at::exp(-x.abs())); };
  if (name == "Softsign") return [](const T& x) { return x / (1 + x.abs()); };
  if (name == "LeakyRelu")
    return [=](const T& x) { return at::leaky_relu(x, alpha); };
  if (name == "Elu") return [=](const T& x) { return at::elu(x, alpha); };
  if (name == "Selu")
    return [=](const T& x) { return at::elu(x, alpha, gamma); };
  if (name == "ThresholdedRelu")
    return
        [=](const T& x) { return at::where(x > alpha, x, at::zeros_like(x)); };
  if (name == "Clip") return [=](const T& x) { return x.clamp(alpha, beta); };
  if (name == "HardSigmoid")
    return [=](const T& x) { return (x * alpha + beta).clamp(0, 1); };
  info.unsupported("the activation '" + name + "'");
}

// X, W, B, Z: Z is added before the activation.
Kernel make_fused_conv(const NodeInfo& info) {
  const Kernel conv = kernel_among(convolution_rows(), "Conv", info);
  const std::string name = info.node.attr_string("activation", "");
  const std::vector<float> list = info.node.attr_floats("activation_params");
  const size_t needed = name == "LeakyRelu"                       ? 1
                        : name == "Clip" || name == "HardSigmoid" ? 2
                                                                  : 0;
  if (list.size() < needed)
    info.invalid("attribute 'activation_params' has " +
                 std::to_string(list.size()) + " elements, but " + name +
                 " needs " + std::to_string(needed));
  auto parameter = [&](size_t i) { return i < list.size() ? list[i] : 0.0f; };
  const Activation finish =
      fused_activation(info, parameter(0), parameter(1), 0);
  return [=](Inputs in, const RunState& state) -> Tensors {
    at::Tensor y = conv(in, state)[0];
    if (const at::Tensor z = input(in, 3); z.defined()) y = y + z;
    return {finish ? finish(y) : y};
  };
}

Kernel make_fused_gemm(const NodeInfo& info) {
  const std::string name = info.node.attr_string("activation", "");
  const float default_alpha = name == "LeakyRelu"     ? 0.01f
                              : name == "HardSigmoid" ? 0.2f
                              : name == "Selu"        ? 1.67326319f
                                                      : 1.0f;
  const Activation finish = fused_activation(
      info, info.node.attr_float("activation_alpha", default_alpha),
      info.node.attr_float("activation_beta", 0.5f),
      info.node.attr_float("activation_gamma", 1.05070102f));
  const double alpha = info.node.attr_float("alpha", 1);
  const double beta = info.node.attr_float("beta", 1);
  const bool turn_a = info.node.attr_int("transA", 0) != 0;
  const bool turn_b = info.node.attr_int("transB", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor a = turn_a ? in[0].t() : in[0];
    const at::Tensor b = turn_b ? in[1].t() : in[1];
    at::Tensor y = at::mm(a, b);
    if (alpha != 1) y = y * alpha;
    if (const at::Tensor c = input(in, 2); c.defined())
      y = y + (beta == 1 ? c : c * beta);
    return {finish ? finish(y) : y};
  };
}

// The first axis behind the batch axes, then the last two swapped.
at::Tensor turned(const at::Tensor& x, bool batch, bool last) {
  at::Tensor out = batch && x.dim() > 2 ? x.movedim(0, -2) : x;
  return last && out.dim() > 1 ? out.transpose(-1, -2) : out;
}

Kernel make_fused_matmul(const NodeInfo& info) {
  auto flag = [&](const char* name) {
    return info.node.attr_int(name, 0) != 0;
  };
  const bool turn_a = flag("transA"), turn_b = flag("transB");
  const bool batch_a = flag("transBatchA"), batch_b = flag("transBatchB");
  const double alpha = info.node.attr_float("alpha", 1);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor y = at::matmul(turned(in[0], batch_a, turn_a),
                                    turned(in[1], batch_b, turn_b));
    return {alpha == 1 ? y : y * alpha};
  };
}

at::Tensor with_bias(Inputs in) {
  const at::Tensor bias = input(in, 1);
  return bias.defined() ? in[0] + bias : in[0];
}

// Gelu and BiasGelu.
Kernel make_gelu(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    return {at::gelu(with_bias(in), "none")};
  };
}

Kernel make_fast_gelu(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    return {at::gelu(with_bias(in), "tanh")};
  };
}

Kernel make_quick_gelu(const NodeInfo& info) {
  const double alpha = info.node.attr_float("alpha", 1.702f);
  return [=](Inputs in, const RunState&) -> Tensors {
    return {in[0] * at::sigmoid(in[0] * alpha)};
  };
}

// x / sqrt(mean of squares), and the factor; at least in single precision.
std::pair<at::Tensor, at::Tensor> root_mean_square_scaled(
    const at::Tensor& x, const std::vector<int64_t>& axes, double epsilon) {
  const at::Tensor real = as_real(x);
  const at::Tensor factor =
      at::rsqrt((real * real).mean(axes, /*keepdim=*/true) + epsilon);
  return {(real * factor).to(x.scalar_type()), factor};
}

Kernel make_simplified_layer_norm(const NodeInfo& info) {
  const int64_t axis = info.node.attr_int("axis", -1);
  const double epsilon = info.node.attr_float("epsilon", 1e-5f);
  return [=](Inputs in, const RunState&) -> Tensors {
    std::vector<int64_t> axes;
    for (int64_t i = at::maybe_wrap_dim(axis, in[0].dim()); i < in[0].dim();
         ++i)
      axes.push_back(i);
    auto [normal, factor] = root_mean_square_scaled(in[0], axes, epsilon);
    return {normal * in[1], factor};
  };
}

// Outputs: normalized, mean, inverse deviation, the sum.
Kernel make_skip_layer_norm(const NodeInfo& info) {
  const double epsilon = info.node.attr_float("epsilon", 1e-12f);
  const bool statistics = info.wants(1) || info.wants(2);
  return [=](Inputs in, const RunState&) -> Tensors {
    at::Tensor sum = in[0] + in[1];
    if (const at::Tensor bias = input(in, 4); bias.defined()) sum = sum + bias;
    const at::Tensor beta = input(in, 3);
    const at::Tensor y = at::layer_norm(
        sum, {sum.size(-1)}, in[2],
        beta.defined() ? c10::optional<at::Tensor>(beta) : c10::nullopt,
        epsilon);
    if (!statistics) return {y, at::Tensor(), at::Tensor(), sum};
    const at::Tensor real = as_real(sum);
    const at::Tensor mean = real.mean({-1}, /*keepdim=*/true);
    const at::Tensor off = real - mean;
    return {y, mean,
            at::rsqrt((off * off).mean({-1}, /*keepdim=*/true) + epsilon), sum};
  };
}

Kernel make_skip_simplified_layer_norm(const NodeInfo& info) {
  const double epsilon = info.node.attr_float("epsilon", 1e-12f);
  return [=](Inputs in, const RunState&) -> Tensors {
    at::Tensor sum = in[0] + in[1];
    if (const at::Tensor bias = input(in, 3); bias.defined()) sum = sum + bias;
    auto [normal, factor] = root_mean_square_scaled(sum, {-1}, epsilon);
    return {normal * in[2], at::Tensor(), factor, sum};
  };
}

// input, weights, bias, mask_index, past, attention_bias, past length.
Kernel make_attention(const NodeInfo& info) {
  const ir::Node& node = info.node;
  if (node.input(4) || node.input(6) || info.wants(1))
    info.unsupported("past keys and values");
  if (node.attr_int("do_rotary", 0)) info.unsupported("rotary embedding");
  const int64_t heads = node.attr_int("num_heads", 0);
  if (heads < 1)
    info.invalid("attribute 'num_heads' is " + std::to_string(heads));
  const std::vector<int64_t> sizes = node.attr_ints("qkv_hidden_sizes");
  if (!sizes.empty() && sizes.size() != 3)
    info.invalid("attribute 'qkv_hidden_sizes' has " +
                 std::to_string(sizes.size()) + " elements, but needs 3");
  if (const ir::Value* mask = node.input(3); mask && mask->type.shape) {
    const ir::Shape& shape = *mask->type.shape;
    // A vector of 2 or 3 batches holds starts and ends.
    const ir::ValueType& x = node.input(0)->type;
    if (shape.empty() || shape.size() > 3 ||
        (shape.size() == 1 && shape[0].known() && x.shape &&
         !x.shape->empty() && (*x.shape)[0].known() &&
         shape[0].value != (*x.shape)[0].value))
      info.unsupported("a mask of shape " + ir::to_string(shape));
  }
  const double filter = node.attr_float("mask_filter_value", -10000.0f);
  const double given_scale = node.attr_float("scale", 0);
  const bool causal = node.attr_int("unidirectional", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const int64_t batch = in[0].size(0), length = in[0].size(1);
    at::Tensor joint = at::matmul(in[0], in[1]);
    if (const at::Tensor bias = input(in, 2); bias.defined())
      joint = joint + bias;
    std::vector<int64_t> widths = sizes;
    if (widths.empty()) widths.assign(3, joint.size(2) / 3);
    const auto parts = joint.split_with_sizes(widths, 2);
    auto by_head = [&](const at::Tensor& part) {
      return part.reshape({batch, length, heads, -1}).transpose(1, 2);
    };
    const at::Tensor q = by_head(parts[0]);
    const double scale = given_scale != 0
                             ? given_scale
                             : 1 / std::sqrt(static_cast<double>(q.size(3)));
    at::Tensor scores =
        at::matmul(q, by_head(parts[1]).transpose(2, 3)) * scale;
    if (at::Tensor mask = input(in, 3); mask.defined()) {
      if (mask.dim() == 1) {  // how many keys there are
        TORCH_CHECK(mask.size(0) == batch, "a mask of ", mask.size(0),
                    " elements for a batch of ", batch);
        mask =
            at::arange(length, mask.options()).unsqueeze(0) < mask.unsqueeze(1);
      }
      mask =
          mask.dim() == 3 ? mask.unsqueeze(1) : mask.unsqueeze(1).unsqueeze(1);
      scores = scores + (mask <= 0).to(scores.scalar_type()) * filter;
    }
    if (const at::Tensor bias = input(in, 5); bias.defined())
      scores = scores + bias;
    if (causal)
      scores = scores.masked_fill(
          at::ones({length, length}, scores.options().dtype(at::kBool)).triu(1),
          -std::numeric_limits<double>::infinity());
    const at::Tensor y = at::matmul(at::softmax(scores, -1), by_head(parts[2]));
    return {y.transpose(1, 2).reshape({batch, length, -1})};
  };
}

// Codes of a packed matrix's rows, the lower bits first.
at::Tensor unpacked(const at::Tensor& packed, int64_t bits) {
  if (bits == 8) return packed;
  return at::stack({packed.bitwise_and(15), packed.bitwise_right_shift(4)}, -1)
      .flatten(-2);
}

// A [..., K], B [N, blocks, bytes], scales, zero points, g_idx, bias.
Kernel make_matmul_nbits(const NodeInfo& info) {
  const int64_t depth = info.node.attr_int("K", 0);
  const int64_t columns = info.node.attr_int("N", 0);
  const int64_t bits = info.node.attr_int("bits", 4);
  const int64_t block = info.node.attr_int("block_size", 0);
  if (depth < 1 || columns < 1 || block < 1)
    info.invalid("attributes 'K', 'N' and 'block_size' are not all positive");
  if (bits != 4 && bits != 8)
    info.unsupported("weights of " + std::to_string(bits) + " bits");
  if (info.node.input(4)) info.unsupported("an order of groups (g_idx)");
  const int64_t blocks = (depth + block - 1) / block;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor scale = in[2].reshape({columns, blocks, 1});
    const at::Tensor codes = unpacked(in[1].reshape({columns, -1}), bits)
                                 .reshape({columns, blocks, block})
                                 .to(scale.scalar_type());
    at::Tensor weight;
    if (at::Tensor zero = input(in, 3); zero.defined()) {
      zero = zero.reshape({columns, -1});
      if (zero.scalar_type() == at::kByte)
        zero = unpacked(zero, bits).narrow(1, 0, blocks);
      weight = codes - zero.unsqueeze(2).to(scale.scalar_type());
    } else {
      weight = codes - static_cast<double>(bits == 4 ? 8 : 128);
    }
    weight = (weight * scale).reshape({columns, -1}).narrow(1, 0, depth);
    at::Tensor y = at::matmul(in[0], weight.t());
    if (const at::Tensor bias = input(in, 5); bias.defined()) y = y + bias;
    return {y};
  };
}

constexpr OperatorRow kFloatRows[] = {
    {"FusedConv", make_fused_conv, kMs},
    {"FusedGemm", make_fused_gemm, kMs},
    {"FusedMatMul", make_fused_matmul, kMs},
    {"TransposeMatMul", make_fused_matmul, kMs},
    {"Gelu", make_gelu, kMs},
    {"BiasGelu", make_gelu, kMs},
    {"FastGelu", make_fast_gelu, kMs},
    {"QuickGelu", make_quick_gelu, kMs},
    {"SkipLayerNormalization", make_skip_layer_norm, kMs},
    {"SkipSimplifiedLayerNormalization", make_skip_simplified_layer_norm, kMs},
    {"SimplifiedLayerNormalization", make_simplified_layer_norm},
    {"SimplifiedLayerNormalization", make_simplified_layer_norm, kMs},
    {"Attention", make_attention, kMs},
    {"MatMulNBits", make_matmul_nbits, kMs},
};

}  // namespace

std::span<const OperatorRow> contrib_rows() {
  static const auto* const rows = [] {
    auto* all = new std::vector<OperatorRow>(std::begin(kFloatRows),
                                             std::end(kFloatRows));
    const auto more = qlinear_rows();
    all->insert(all->end(), more.begin(), more.end());
    return all;
  }();
  return *rows;
}

}  // namespace lathe::exec
