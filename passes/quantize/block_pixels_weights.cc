// One rule for each axis, and the weights as the product of both. With output
// pixel out.block * b - out.shift + o and input pixel stride * that - pad + k,
// the input's block and the pixel in it are
//
//   r = stride * (o - out.shift) - pad + k + in.shift
//   block = b * (stride * out.block / in.block) + floor(r / in.block),
//   pixel = r mod in.block
//
// so the new stride is stride * out.block / in.block, and the new window spans
// the floors. Where it starts after its first block or ends before the last,
// taps of zeros fill it up: a convolution's padding cannot be negative.
#include "passes/quantize/block_pixels_weights.h"

#include <algorithm>

namespace lathe::quantize {
namespace {

int64_t floor_div(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

}  // namespace

std::optional<AxisPlan> plan_axis(const Window& window, AxisLayout in,
                                  AxisLayout out) {
  AxisPlan plan;
  if (window.stride * out.block % in.block != 0) return std::nullopt;
  plan.stride = window.stride * out.block / in.block;
  int64_t low = 0, high = 0;
  for (int64_t o = 0; o < out.block; ++o)
    for (int64_t k = 0; k < window.kernel; ++k) {
      const int64_t r =
          window.stride * (o - out.shift) - window.pad + k + in.shift;
      const int64_t block = floor_div(r, in.block);
      if (plan.taps.empty()) low = high = block;
      low = std::min(low, block);
      high = std::max(high, block);
      plan.taps.push_back({block, r - block * in.block, o, k});
    }
  low = std::min<int64_t>(low, 0);
  for (AxisPlan::Tap& tap : plan.taps) tap.kernel -= low;
  plan.kernel = high - low + 1;
  plan.pad_begin = -low;
  const int64_t blocks = in.blocks(window.in);
  plan.pad_end = (out.blocks(window.out) - 1) * plan.stride + plan.kernel -
                 plan.pad_begin - blocks;
  // Blocks that no window reaches: none is left over at a stride above theirs.
  if (plan.pad_end < 0) {
    const int64_t over = -plan.pad_end;
    plan.pad_end = 0;
    if (over >= plan.stride) plan.kernel += over / plan.stride * plan.stride;
  }
  return plan;
}

ir::Tensor block_weights(const ir::Tensor& weights, const AxisPlan& rows,
                         const AxisPlan& columns, const BlockLayout& in,
                         const BlockLayout& out) {
  const auto& dims = weights.dims();
  const int64_t outputs = dims[0], inputs = dims[1];
  const std::vector<int64_t> blocked_dims = {
      outputs * out.fold(), inputs * in.fold(), rows.kernel, columns.kernel};
  std::vector<int8_t> blocked(
      blocked_dims[0] * blocked_dims[1] * rows.kernel * columns.kernel, 0);
  const auto data = weights.data<int8_t>();
  for (const AxisPlan::Tap& row : rows.taps)
    for (const AxisPlan::Tap& column : columns.taps) {
      const int64_t first_output =
          (row.out * out.columns.block + column.out) * outputs;
      const int64_t first_input =
          (row.in * in.columns.block + column.in) * inputs;
      for (int64_t m = 0; m < outputs; ++m)
        for (int64_t c = 0; c < inputs; ++c)
          blocked[(((first_output + m) * blocked_dims[1] + first_input + c) *
                       rows.kernel +
                   row.kernel) *
                      columns.kernel +
                  column.kernel] =
              data[((m * inputs + c) * dims[2] + row.source) * dims[3] +
                   column.source];
    }
  return ir::Tensor::from<int8_t>(blocked_dims, blocked);
}

ir::Tensor selecting_weights(const std::vector<int64_t>& channels,
                             int64_t inputs) {
  const auto outputs = static_cast<int64_t>(channels.size());
  std::vector<int8_t> weights(outputs * inputs, 0);
  for (int64_t m = 0; m < outputs; ++m)
    if (channels[m] >= 0) weights[m * inputs + channels[m]] = 1;
  return ir::Tensor::from<int8_t>({outputs, inputs, 1, 1}, weights);
}

ir::Tensor tiled(const ir::Tensor& per_channel, int64_t times) {
  if (per_channel.rank() == 0) return per_channel;
  // Codes and scales are exact as doubles.
  const std::vector<double> once = per_channel.to_doubles();
  std::vector<double> all;
  all.reserve(once.size() * times);
  for (int64_t i = 0; i < times; ++i)
    all.insert(all.end(), once.begin(), once.end());
  return ir::Tensor::from_doubles(per_channel.type(),
                                  {static_cast<int64_t>(all.size())}, all);
}

ir::Tensor block_mask(const BlockLayout& layout, int64_t channels,
                      int64_t height, int64_t width, ir::DataType type,
                      int64_t inside, int64_t outside) {
  const int64_t rows = layout.rows.blocks(height),
                columns = layout.columns.blocks(width);
  std::vector<double> mask;
  mask.reserve(layout.fold() * channels * rows * columns);
  const auto in_image = [](const AxisLayout& placing, int64_t block,
                           int64_t offset, int64_t pixels) {
    const int64_t pixel = placing.block * block - placing.shift + offset;
    return pixel >= 0 && pixel < pixels;
  };
  for (int64_t channel = 0; channel < layout.fold() * channels; ++channel) {
    const int64_t dy = channel / channels / layout.columns.block;
    const int64_t dx = channel / channels % layout.columns.block;
    for (int64_t a = 0; a < rows; ++a)
      for (int64_t b = 0; b < columns; ++b)
        mask.push_back(
            static_cast<double>(in_image(layout.rows, a, dy, height) &&
                                        in_image(layout.columns, b, dx, width)
                                    ? inside
                                    : outside));
  }
  return ir::Tensor::from_doubles(
      type, {1, layout.fold() * channels, rows, columns}, mask);
}

}  // namespace lathe::quantize
