#include "passes/quantize/dynamic_weights.h"

#include <algorithm>
#include <optional>

#include "passes/quantize/saturation.h"
#include "passes/quantize/weights.h"

namespace lathe::quantize {
namespace {

// uint8 codes are the int8 ones plus this.
constexpr int kMiddle = 128;

// [..., rows, columns] -> [..., columns, rows], times `factor`.
ir::Tensor transposed_matrices(const ir::Tensor& from, float factor) {
  std::vector<int64_t> dims = from.dims();
  const int64_t rows = dims[dims.size() - 2], columns = dims.back();
  std::swap(dims[dims.size() - 2], dims.back());
  const auto data = from.data<float>();
  std::vector<float> to(data.size());
  for (int64_t start = 0; start < from.size(); start += rows * columns)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        to[start + c * rows + r] = data[start + r * columns + c] * factor;
  return ir::Tensor::from<float>(std::move(dims), to);
}

ir::Tensor scaled(const ir::Tensor& from, float factor) {
  std::vector<float> values = from.to_floats();
  for (float& value : values) value *= factor;
  return ir::Tensor::from<float>(from.dims(), values);
}

}  // namespace

DynamicCoder::Coded DynamicCoder::code(const ir::Tensor& weights,
                                       bool per_channel) const {
  const std::optional<int64_t> axis =
      per_channel ? std::optional<int64_t>(weights.rank() - 1) : std::nullopt;
  Coded coded;
  auto code_as = [&](int32_t max_code) {
    coded.scales = weight_scales(weights, axis, nullptr, 1, max_code);
    coded.codes = weight_codes(weights, axis, coded.scales, max_code);
  };
  code_as(max_weight_code(options_.weight_bits));
  // Ranges follow the data, so that all codes occur. Products of two unsigned
  // codes are added in 32 bits everywhere.
  if (options_.pairs_saturate.value_or(false) && options_.weight_bits == 8 &&
      options_.weight_type == ir::DataType::kInt8 &&
      pairs_can_saturate(weights.dims(), coded.codes, {0, 255})) {
    code_as(kMax7BitCode);
    coded.narrowed = true;
  }
  return coded;
}

DynamicWeights DynamicCoder::store(ir::Value* weights,
                                   std::vector<int64_t> dims,
                                   const Coded& coded,
                                   std::vector<int64_t> scale_dims,
                                   bool needs_zero_point) const {
  ir::Graph& graph = weights->graph();
  const std::string& name = weights->name();
  const bool is_signed = options_.weight_type == ir::DataType::kInt8;
  DynamicWeights made;
  made.narrowed = coded.narrowed;
  if (is_signed) {
    made.codes = graph.add_constant(
        name + "_quantized",
        ir::Tensor::from<int8_t>(std::move(dims), coded.codes));
  } else {
    std::vector<uint8_t> codes(coded.codes.size());
    std::ranges::transform(coded.codes, codes.begin(), [](int8_t code) {
      return static_cast<uint8_t>(code + kMiddle);
    });
    made.codes = graph.add_constant(
        name + "_quantized", ir::Tensor::from<uint8_t>(std::move(dims), codes));
  }
  made.scale = graph.add_constant(
      name + "_scale", ir::Tensor::from<float>(scale_dims, coded.scales));
  if (!is_signed || needs_zero_point) {
    const std::vector<int64_t> shape =
        needs_zero_point ? scale_dims : std::vector<int64_t>{};
    const std::vector<double> zeros(ir::element_count(shape, name),
                                    is_signed ? 0 : kMiddle);
    made.zero_point = graph.add_constant(
        name + "_zero_point",
        ir::Tensor::from_doubles(options_.weight_type, shape, zeros));
  }
  return made;
}

DynamicWeights DynamicCoder::matrix(ir::Value* weights, bool transposed,
                                    float alpha) {
  DynamicWeights& made = made_[{weights, transposed, alpha, false}];
  if (made.codes) return made;
  ir::Tensor tensor = weights->tensor();
  if (transposed)
    tensor = transposed_matrices(tensor, alpha);
  else if (alpha != 1)
    tensor = scaled(tensor, alpha);
  // Stacks of matrices have one scale.
  const bool per_channel = options_.per_channel && tensor.rank() == 2;
  const Coded coded = code(tensor, per_channel);
  std::vector<int64_t> scale_dims;
  if (per_channel) scale_dims.push_back(tensor.dims()[1]);
  made = store(weights, tensor.dims(), coded, scale_dims,
               /*needs_zero_point=*/false);
  return made;
}

DynamicWeights DynamicCoder::recurrent(ir::Value* weights) {
  DynamicWeights& made = made_[{weights, true, 1, true}];
  if (made.codes) return made;
  const ir::Tensor all = transposed_matrices(weights->tensor(), 1);
  const int64_t directions = all.dims()[0], depth = all.dims()[1],
                columns = all.dims()[2], size = depth * columns;
  Coded coded;
  for (int64_t d = 0; d < directions; ++d) {
    Coded one =
        code(ir::Tensor::from<float>({depth, columns},
                                     all.data<float>().subspan(d * size, size)),
             options_.per_channel);
    coded.codes.insert(coded.codes.end(), one.codes.begin(), one.codes.end());
    coded.scales.insert(coded.scales.end(), one.scales.begin(),
                        one.scales.end());
    coded.narrowed |= one.narrowed;
  }
  std::vector<int64_t> scale_dims{directions};
  if (options_.per_channel) scale_dims.push_back(columns);
  made = store(weights, all.dims(), coded, scale_dims,
               /*needs_zero_point=*/true);
  return made;
}

}  // namespace lathe::quantize
