// Weights and biases as codes.
//
//   w  ->  int8, scale[c] = max|w[c]| / 127 (63 for 7 bits), zero point 0
//   b  ->  int32, scale[c] = scale_x * scale_w[c], zero point 0
//
// The bias is added to the int32 accumulator as it is, so its code must leave
// room there: where |b| / (scale_x * scale_w[c]) exceeds kMaxBiasCode, scale_w
// is raised. The rest of the accumulator's range holds K products of at most
// 255 * 127, K up to 33,000. Source: onnxruntime's Python quantizer does the
// same for single channels (adjust_tensor_range / weight scale for bias).
#include "passes/quantize/weights.h"

#include <algorithm>
#include <cmath>

#include "passes/base/error.h"
#include "passes/quantize/magnitudes.h"

namespace lathe::quantize {
namespace {

// Calls f(channel, first element, elements) for each run of elements of one
// channel.
template <class F>
void for_each_run(const ir::Tensor& tensor, std::optional<int64_t> axis,
                  F&& f) {
  int64_t channels = 1, inner = tensor.size();
  if (axis) {
    channels = tensor.dims()[*axis];
    inner = 1;
    for (size_t i = *axis + 1; i < tensor.dims().size(); ++i)
      inner *= tensor.dims()[i];
  }
  int64_t channel = 0;
  for (int64_t i = 0; i < tensor.size(); i += inner) {
    f(static_cast<size_t>(channel), static_cast<size_t>(i),
      static_cast<size_t>(inner));
    if (++channel == channels) channel = 0;
  }
}

// Scalar where there is one scale for all, else one a channel.
ir::Tensor scale_tensor(const std::vector<float>& scales, bool scalar) {
  return scalar ? ir::Tensor::scalar(scales[0])
                : ir::Tensor::from<float>({static_cast<int64_t>(scales.size())},
                                          scales);
}

ir::Tensor zero_points(ir::DataType type, size_t channels, bool scalar) {
  return ir::Tensor::zeros(
      type, scalar ? std::vector<int64_t>{}
                   : std::vector<int64_t>{static_cast<int64_t>(channels)});
}

}  // namespace

void require_weight_bits(int bits, const std::string& where) {
  if (bits != 7 && bits != 8)
    throw Error(
        ErrorKind::kUsage, where,
        "weights of " + std::to_string(bits) + " bits, expected 7 or 8");
}

std::vector<float> weight_scales(const ir::Tensor& weights,
                                 std::optional<int64_t> axis,
                                 const ir::Tensor* bias, float input_scale,
                                 int32_t max_code) {
  size_t channels = axis ? weights.dims()[*axis] : 1;
  std::vector<float> max_abs(channels, 0);
  auto data = weights.data<float>();
  for_each_run(weights, axis, [&](size_t c, size_t first, size_t count) {
    max_abs[c] =
        std::max(max_abs[c], max_magnitude(data.subspan(first, count)));
  });
  std::vector<float> scales(channels);
  for (size_t c = 0; c < channels; ++c)
    scales[c] = symmetric_affine(max_abs[c], max_code).scale;
  if (!bias) return scales;
  auto biases = bias->data<float>();
  size_t count = std::max(biases.size(), channels);
  for (size_t i = 0; i < count; ++i) {
    double b = std::fabs(biases[biases.size() == 1 ? 0 : i]);
    float& scale = scales[channels == 1 ? 0 : i];
    scale = std::max(
        scale, static_cast<float>(
                   b / (static_cast<double>(input_scale) * kMaxBiasCode)));
  }
  return scales;
}

std::vector<int8_t> weight_codes(const ir::Tensor& weights,
                                 std::optional<int64_t> axis,
                                 const std::vector<float>& scales,
                                 int32_t max_code) {
  auto data = weights.data<float>();
  std::vector<int8_t> codes(data.size());
  for_each_run(weights, axis, [&](size_t c, size_t first, size_t count) {
    for (size_t i = first; i < first + count; ++i)
      codes[i] = static_cast<int8_t>(
          to_code(data[i], {scales[c], 0}, {-max_code, max_code}));
  });
  return codes;
}

CodedConstant& ConstantCoder::add_weights(
    ir::Value* value, std::optional<int64_t> axis,
    const std::vector<float>& scales,
    const std::function<ir::Tensor()>& codes) {
  CodedConstant& coded = weights_[{value, axis.value_or(-1), scales}];
  if (coded.codes) return coded;
  const std::string& name = value->name();
  coded.axis = axis;
  coded.scales = scales;
  coded.codes = graph_.add_constant(name + "_quantized", codes());
  coded.scale = graph_.add_constant(name + "_scale",
                                    scale_tensor(scales, /*scalar=*/!axis));
  coded.zero_point = graph_.add_constant(
      name + "_zero_point",
      zero_points(ir::DataType::kInt8, scales.size(), /*scalar=*/!axis));
  return coded;
}

CodedConstant ConstantCoder::weights(ir::Value* value,
                                     std::optional<int64_t> axis,
                                     const std::vector<float>& scales,
                                     int32_t max_code) {
  return add_weights(value, axis, scales, [&] {
    const ir::Tensor& tensor = value->tensor();
    return ir::Tensor::from<int8_t>(
        tensor.dims(), weight_codes(tensor, axis, scales, max_code));
  });
}

CodedConstant ConstantCoder::outline(ir::Value* value,
                                     std::optional<int64_t> axis,
                                     const std::vector<float>& scales) {
  return add_weights(value, axis, scales, [&] {
    return ir::Tensor::zeros(ir::DataType::kInt8, value->tensor().dims());
  });
}

CodedConstant ConstantCoder::bias(ir::Value* value, int64_t channels,
                                  float input_scale,
                                  const std::vector<float>& weight_scales) {
  auto data = value->tensor().data<float>();
  CodedConstant coded;
  bool scalar = weight_scales.size() == 1 && channels != 1;
  for (float scale : weight_scales) coded.scales.push_back(input_scale * scale);
  std::vector<int32_t> codes(channels);
  for (int64_t c = 0; c < channels; ++c) {
    double scale = coded.scales[coded.scales.size() == 1 ? 0 : c];
    double code = data[data.size() == 1 ? 0 : c] / scale;
    // A product of two tiny scales may be 0 in float: then b / 0.
    if (!std::isfinite(code)) code = 0;
    codes[c] = static_cast<int32_t>(
        std::clamp(std::nearbyint(code), -2147483647.0, 2147483647.0));
  }
  const std::string& name = value->name();
  if (!scalar) coded.axis = 0;
  coded.codes = graph_.add_constant(
      name + "_quantized", ir::Tensor::from<int32_t>({channels}, codes));
  coded.scale =
      graph_.add_constant(name + "_scale", scale_tensor(coded.scales, scalar));
  coded.zero_point = graph_.add_constant(
      name + "_zero_point",
      zero_points(ir::DataType::kInt32, coded.scales.size(), scalar));
  return coded;
}

CodedConstant ConstantCoder::operand(ir::Value* value, ir::DataType type,
                                     bool symmetric) {
  CodedConstant& coded = operands_[value];
  if (coded.codes) return coded;
  const ir::Tensor& tensor = value->tensor();
  auto data = tensor.data<float>();
  auto [low, high] = std::ranges::minmax(data);
  Affine affine = affine_of({low, high}, type, symmetric);
  std::vector<double> codes;
  codes.reserve(data.size());
  for (float x : data) codes.push_back(to_code(x, affine, code_range(type)));
  coded = activation(value->name(), affine, type);
  coded.codes =
      graph_.add_constant(value->name() + "_quantized",
                          ir::Tensor::from_doubles(type, tensor.dims(), codes));
  return coded;
}

CodedConstant ConstantCoder::activation(const std::string& name, Affine affine,
                                        ir::DataType type) {
  CodedConstant coded;
  coded.scales = {affine.scale};
  coded.scale =
      graph_.add_constant(name + "_scale", ir::Tensor::scalar(affine.scale));
  double zero_point = affine.zero_point;
  coded.zero_point = graph_.add_constant(
      name + "_zero_point",
      ir::Tensor::from_doubles(type, {}, std::span(&zero_point, 1)));
  return coded;
}

}  // namespace lathe::quantize
