// Operators whose inputs and outputs are quantized. Products are accumulated
// in double, where sums of codes are exact, and scaled in float, as ONNX
// Runtime does; the others compute on real values in double.
#include <algorithm>

#include "passes/exec/affine_tensors.h"
#include "passes/exec/fake_quantize.h"
#include "passes/exec/window.h"

namespace lathe::exec {
namespace {

constexpr std::string_view kMs = "com.microsoft";

// A matrix product's scale or zero point so that it broadcasts over the matrix:
// single, along the last axis, or already of its rank.
at::Tensor by_column(const at::Tensor& parameter) {
  return scalar_or_same(parameter);
}
// Likewise along the last axis but one.
at::Tensor by_row(const at::Tensor& parameter) {
  const at::Tensor out = scalar_or_same(parameter);
  return out.defined() && out.dim() == 1 ? out.unsqueeze(-1) : out;
}

at::Tensor as_float(const at::Tensor& x) { return x.to(at::kFloat); }

// x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B.
Kernel make_qlinear_conv(const NodeInfo& info) {
  const Window window = read_window(info, 3);
  const int64_t group = info.node.attr_int("group", 1);
  const CodeType type = code_type_of(info, {7, 0});
  const bool last = info.node.attr_int("channels_last", 0) != 0;
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor x = channels_to_front(in[0], last);
    const at::Tensor bias = input(in, 8);
    const Pads pads = resolve_pads(window, x.sizes(), in[3].sizes().slice(2));
    const Ints none(window.axes(), 0);
    const at::Tensor sum = at::convolution(
        padded(centered(x, scalar_or_same(in[2]), at::kDouble),
               pad_list(pads.begins, pads.ends), 0),
        centered(in[3], spread(in[5], in[3], 0), at::kDouble),
        bias.defined() ? c10::optional<at::Tensor>(bias.to(at::kDouble))
                       : c10::nullopt,
        window.strides, none, window.dilations, /*transposed=*/false, none,
        group);
    const at::Tensor factor = scalar_or_same(as_float(in[1])) *
                              spread(as_float(in[4]), sum, 1) /
                              scalar_or_same(as_float(in[6]));
    const at::Tensor codes =
        to_codes(as_float(sum) * factor, scalar_or_same(input(in, 7)), type);
    return {channels_to_back(codes, last)};
  };
}

// a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point.
Kernel make_qlinear_matmul(const NodeInfo& info) {
  const CodeType type = code_type_of(info, {7, 0});
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor sum =
        at::matmul(centered(in[0], by_row(in[2]), at::kDouble),
                   centered(in[3], by_column(in[5]), at::kDouble));
    const at::Tensor factor = by_row(as_float(in[1])) *
                              by_column(as_float(in[4])) /
                              by_row(as_float(in[6]));
    return {to_codes(as_float(sum) * factor, by_row(input(in, 7)), type)};
  };
}

// A, a_scale, a_zero_point, B, b_scale, b_zero_point, C, y_scale,
// y_zero_point. C is in units of alpha * a_scale * b_scale. Without y_scale the
// result is real.
Kernel make_qgemm(const NodeInfo& info) {
  const bool turn_a = info.node.attr_int("transA", 0) != 0;
  const bool turn_b = info.node.attr_int("transB", 0) != 0;
  const double alpha = info.node.attr_float("alpha", 1);
  const bool real = info.node.input(7) == nullptr;
  const CodeType type = real ? CodeType() : code_type_of(info, {8, 0});
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor a = turn_a ? in[0].t() : in[0];
    const at::Tensor b = turn_b ? in[3].t() : in[3];
    at::Tensor sum = at::mm(centered(a, scalar_or_same(in[2]), at::kDouble),
                            centered(b, by_column(in[5]), at::kDouble));
    if (const at::Tensor c = input(in, 6); c.defined())
      sum = sum + c.to(at::kDouble);
    const at::Tensor factor =
        scalar_or_same(as_float(in[1])) * alpha * by_column(as_float(in[4]));
    if (real) return {as_float(sum) * factor};
    return {to_codes(as_float(sum) * (factor / scalar_or_same(in[7])),
                     scalar_or_same(input(in, 8)), type)};
  };
}

// A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias.
Kernel make_matmul_integer_to_float(const NodeInfo&) {
  return [](Inputs in, const RunState&) -> Tensors {
    const at::Tensor sum =
        at::matmul(centered(in[0], by_row(input(in, 4)), at::kDouble),
                   centered(in[1], by_column(input(in, 5)), at::kDouble));
    at::Tensor y = as_real(sum.to(in[2].scalar_type())) *
                   (by_row(as_real(in[2])) * by_column(as_real(in[3])));
    if (const at::Tensor bias = input(in, 6); bias.defined()) y = y + bias;
    return {y.to(in[2].scalar_type())};
  };
}

// A (real), B, b_scale, b_zero_point, bias. Differentiable in A.
Kernel make_dynamic_quantize_matmul(const NodeInfo& info) {
  const CodeType type = code_type(info, ir::DataType::kUint8);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor& a = in[0];
    const DynamicScale dynamic = dynamic_scale(a.detach());
    const at::Tensor near = fake_quantize(a, dynamic.scale, dynamic.zero_point,
                                          0, type.low, type.high);
    const at::Tensor b =
        centered(in[1], by_column(input(in, 3)), in[2].scalar_type()) *
        by_column(in[2]);
    at::Tensor y = at::matmul(near, b);
    if (const at::Tensor bias = input(in, 4); bias.defined()) y = y + bias;
    return {y};
  };
}

// The value and its parameters behind it.
at::Tensor real_input(Inputs in, size_t first) {
  return real_values(in[first], scalar_or_same(in[first + 1]),
                     scalar_or_same(input(in, first + 2)));
}
at::Tensor coded(const at::Tensor& real, Inputs in, size_t scale,
                 const CodeType& type) {
  return quantized(real, scalar_or_same(in[scale]),
                   scalar_or_same(input(in, scale + 1)), type);
}

// A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point.
template <bool kProduct>
Kernel make_qlinear_binary(const NodeInfo& info) {
  const CodeType type = code_type_of(info, {0});
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor a = real_input(in, 0), b = real_input(in, 3);
    return {coded(kProduct ? a * b : a + b, in, 6, type)};
  };
}

// Y_scale, Y_zero_point, then a tensor with its scale and zero point each.
Kernel make_qlinear_concat(const NodeInfo& info) {
  if (!info.node.has_attribute("axis"))
    info.invalid("attribute 'axis' is missing");
  const int64_t axis = info.node.attr_int("axis", 0);
  const CodeType type = code_type_of(info, {1, 2});
  const size_t count = info.inputs();
  if (count < 5 || (count - 2) % 3 != 0)
    info.invalid("has " + std::to_string(count) + " inputs");
  return [=](Inputs in, const RunState&) -> Tensors {
    Tensors parts;
    for (size_t i = 2; i + 2 < count; i += 3)
      parts.push_back(coded(real_input(in, i), in, 0, type));
    return {at::cat(parts, axis)};
  };
}

// X, X_scale, X_zero_point, Y_scale, Y_zero_point, and what is done between.
template <class Function>
Kernel between_codes(const NodeInfo& info, Function function) {
  const CodeType type = code_type_of(info, {0});
  return [=](Inputs in, const RunState&) -> Tensors {
    return {coded(function(real_input(in, 0)), in, 3, type)};
  };
}

Kernel make_qlinear_sigmoid(const NodeInfo& info) {
  return between_codes(info,
                       [](const at::Tensor& x) { return at::sigmoid(x); });
}

Kernel make_qlinear_leaky_relu(const NodeInfo& info) {
  const double alpha = info.node.attr_float("alpha", 0.01f);
  return between_codes(
      info, [=](const at::Tensor& x) { return at::leaky_relu(x, alpha); });
}

// Before opset 13 (an attribute here) over all axes from `axis` on.
Kernel make_qlinear_softmax(const NodeInfo& info) {
  const bool flat = info.node.attr_int("opset", 13) < 13;
  const int64_t axis = info.node.attr_int("axis", flat ? 1 : -1);
  return between_codes(info, [=](const at::Tensor& x) {
    if (!flat) return at::softmax(x, axis);
    const int64_t first = axis < 0 ? axis + x.dim() : axis;
    int64_t rows = 1;
    for (int64_t i = 0; i < first; ++i) rows *= x.size(i);
    return at::softmax(
               x.reshape({rows, x.numel() / std::max<int64_t>(rows, 1)}), 1)
        .reshape(x.sizes());
  });
}

Kernel make_qlinear_global_average_pool(const NodeInfo& info) {
  const bool last = info.node.attr_int("channels_last", 0) != 0;
  return between_codes(info, [=](const at::Tensor& given) {
    const at::Tensor x = channels_to_front(given, last);
    std::vector<int64_t> axes;
    for (int64_t i = 2; i < x.dim(); ++i) axes.push_back(i);
    return channels_to_back(x.mean(axes, /*keepdim=*/true), last);
  });
}

Kernel make_qlinear_average_pool(const NodeInfo& info) {
  const Kernel pool = kernel_among(pooling_rows(), "AveragePool", info);
  const bool last = info.node.attr_int("channels_last", 0) != 0;
  return between_codes(info, [=](const at::Tensor& given) {
    const at::Tensor x = channels_to_front(given, last);
    return channels_to_back(pool(Inputs(&x, 1), RunState())[0], last);
  });
}

constexpr OperatorRow kRows[] = {
    {"QLinearConv", make_qlinear_conv},
    {"QLinearConv", make_qlinear_conv, kMs},
    {"QLinearMatMul", make_qlinear_matmul},
    {"QLinearMatMul", make_qlinear_matmul, kMs},
    {"QGemm", make_qgemm, kMs},
    {"QLinearAdd", make_qlinear_binary<false>, kMs},
    {"QLinearMul", make_qlinear_binary<true>, kMs},
    {"QLinearConcat", make_qlinear_concat, kMs},
    {"QLinearAveragePool", make_qlinear_average_pool, kMs},
    {"QLinearGlobalAveragePool", make_qlinear_global_average_pool, kMs},
    {"QLinearSigmoid", make_qlinear_sigmoid, kMs},
    {"QLinearLeakyRelu", make_qlinear_leaky_relu, kMs},
    {"QLinearSoftmax", make_qlinear_softmax, kMs},
    {"MatMulIntegerToFloat", make_matmul_integer_to_float, kMs},
    {"DynamicQuantizeMatMul", make_dynamic_quantize_matmul, kMs},
};

}  // namespace

std::span<const OperatorRow> qlinear_rows() { return kRows; }

}  // namespace lathe::exec
