#include "passes/ir/op_window.h"

#include <algorithm>

namespace lathe::ir {
namespace {

std::vector<int64_t> window_attribute(const InferContext& ctx, const char* name,
                                      size_t count, int64_t fallback,
                                      int64_t smallest) {
  auto values = ctx.node().attr_ints(name);
  if (values.empty()) return std::vector<int64_t>(count, fallback);
  if (values.size() != count)
    ctx.fail("attribute '" + std::string(name) + "' has " +
             std::to_string(values.size()) + " values, but needs " +
             std::to_string(count));
  for (int64_t value : values)
    if (value < smallest)
      ctx.fail("attribute '" + std::string(name) + "' has the value " +
               std::to_string(value) + ", but needs at least " +
               std::to_string(smallest));
  return values;
}

}  // namespace

Window read_window(const InferContext& ctx, std::vector<int64_t> kernel) {
  Window window;
  size_t count = kernel.size();
  for (int64_t size : kernel)
    if (size <= 0)
      ctx.fail("the kernel has the size " + std::to_string(size) +
               ", but needs at least 1");
  window.kernel = std::move(kernel);
  window.strides = window_attribute(ctx, "strides", count, 1, 1);
  window.dilations = window_attribute(ctx, "dilations", count, 1, 1);
  window.pads = window_attribute(ctx, "pads", 2 * count, 0, 0);
  window.ceil_mode = ctx.node().attr_int("ceil_mode", 0) != 0;
  std::string auto_pad = ctx.node().attr_string("auto_pad", "NOTSET");
  if (auto_pad == "SAME_UPPER")
    window.auto_pad = Window::AutoPad::kSameUpper;
  else if (auto_pad == "SAME_LOWER")
    window.auto_pad = Window::AutoPad::kSameLower;
  else if (auto_pad == "VALID")
    window.auto_pad = Window::AutoPad::kValid;
  else if (auto_pad != "NOTSET" && !auto_pad.empty())
    ctx.fail("attribute 'auto_pad' is '" + auto_pad +
             "', but should be NOTSET, SAME_UPPER, SAME_LOWER or VALID");
  if (window.auto_pad != Window::AutoPad::kNotSet)
    window.pads.assign(2 * count, 0);
  return window;
}

Dim window_output(const InferContext& ctx, const Window& window, size_t axis,
                  const Dim& in) {
  int64_t stride = window.strides[axis];
  int64_t begin = window.pads[axis];
  bool same = window.auto_pad == Window::AutoPad::kSameUpper ||
              window.auto_pad == Window::AutoPad::kSameLower;
  int64_t extent = checked_add(
      ctx,
      checked_multiply(ctx, window.kernel[axis] - 1, window.dilations[axis]),
      1);
  int64_t pads =
      checked_add(ctx, begin, window.pads[axis + window.kernel.size()]);
  if (!in.known())
    return stride == 1 && (same || pads == extent - 1) ? in : Dim();
  if (same) return Dim(in.value / stride + (in.value % stride != 0));
  int64_t padded = checked_add(ctx, in.value, pads);
  if (padded < extent)
    ctx.fail("the window covers " + std::to_string(extent) +
             " elements, but the padded input has only " +
             std::to_string(padded));
  int64_t room = padded - extent;
  int64_t out = room / stride + 1;
  if (!window.ceil_mode) return Dim(out);
  if (room % stride != 0) ++out;
  // The last window must start inside the input or the begin padding.
  __int128 start = static_cast<__int128>(out - 1) * stride;
  if (out > 1 && start >= static_cast<__int128>(in.value) + begin) --out;
  return Dim(out);
}

void infer_conv_as(InferContext& ctx, size_t x, size_t w, DataType elem,
                   bool channels_last, bool check_channels) {
  const Shape* weight = ctx.shape(w);
  const Shape* input = ctx.shape(x);
  ctx.set(0, elem);
  if (!weight && !input) return;
  size_t rank = weight ? weight->size() : input->size();
  if (rank < 3)
    ctx.fail("needs at least rank 3, but has a " +
             std::string(weight ? "weight" : "input") + " of rank " +
             std::to_string(rank));
  if (input && input->size() != rank)
    ctx.fail("input has rank " + std::to_string(input->size()) +
             ", but the weight has rank " + std::to_string(rank));
  size_t spatial = rank - 2;
  std::vector<int64_t> kernel = ctx.node().attr_ints("kernel_shape");
  Shape out(rank);
  size_t channel_axis = channels_last ? rank - 1 : 1;
  size_t first_spatial = channels_last ? 1 : 2;
  if (input) out[0] = (*input)[0];
  if (weight) {
    if (!kernel.empty() && kernel.size() != spatial)
      ctx.fail("attribute 'kernel_shape' has " + std::to_string(kernel.size()) +
               " values, but the weight has " + std::to_string(spatial) +
               " spatial dimensions");
    bool known = true;
    std::vector<int64_t> from_weight;
    for (size_t i = 0; i < spatial; ++i) {
      known = known && (*weight)[i + 2].known();
      from_weight.push_back((*weight)[i + 2].value);
      if (!kernel.empty() && (*weight)[i + 2].known() &&
          kernel[i] != (*weight)[i + 2].value)
        ctx.fail("attribute 'kernel_shape' says " + std::to_string(kernel[i]) +
                 ", but the weight has " +
                 std::to_string((*weight)[i + 2].value));
    }
    if (kernel.empty() && known) kernel = from_weight;
    out[channel_axis] = (*weight)[0];
    int64_t group = ctx.node().attr_int("group", 1);
    if (group <= 0) ctx.fail("attribute 'group' is " + std::to_string(group));
    Dim per_group = (*weight)[1];
    Dim channels = input ? (*input)[channel_axis] : Dim();
    if (check_channels && per_group.known() && channels.known() &&
        checked_multiply(ctx, per_group.value, group) != channels.value)
      ctx.fail("input has " + std::to_string(channels.value) +
               " channels, but the weight takes " +
               std::to_string(per_group.value) + " in " +
               std::to_string(group) + (group == 1 ? " group" : " groups"));
    if (check_channels && (*weight)[0].known() &&
        (*weight)[0].value % group != 0)
      ctx.fail(std::to_string((*weight)[0].value) +
               " output channels do not divide into " + std::to_string(group) +
               " groups");
  }
  if (kernel.size() == spatial) {
    Window window = read_window(ctx, kernel);
    for (size_t i = 0; i < spatial; ++i)
      out[first_spatial + i] = window_output(
          ctx, window, i, input ? (*input)[first_spatial + i] : Dim());
  }
  ctx.set(0, elem, out);
}

void infer_conv(InferContext& ctx) {
  infer_conv_as(ctx, 0, 1, ctx.elem(0), /*channels_last=*/false);
}

Cost conv_cost_with_weight(const Node& node, size_t w) {
  int64_t filters = dim_value(node.input(w), 0);
  int64_t per_output = filters == 0 ? 0 : elements(node.input(w)) / filters;
  int64_t outputs = elements(node.output(0));
  return mac_cost(times(outputs, per_output));
}

Cost conv_cost(const Node& node) {
  Cost cost = conv_cost_with_weight(node, 1);
  if (node.input(2)) cost.flops = plus(cost.flops, elements(node.output(0)));
  return cost;
}

// out = stride * (in - 1) + output_padding + ((k-1)*d+1) - pads (ONNX
// ConvTranspose). output_shape wins, and SAME gives in * stride.
void infer_conv_transpose(InferContext& ctx) {
  const Shape* input = ctx.shape(0);
  const Shape* weight = ctx.shape(1);
  ctx.set(0, ctx.elem(0));
  if (!weight) return;
  size_t rank = weight->size();
  if (rank < 3)
    ctx.fail("needs at least rank 3, but has a weight of rank " +
             std::to_string(rank));
  if (input && input->size() != rank)
    ctx.fail("input has rank " + std::to_string(input->size()) +
             ", but the weight has rank " + std::to_string(rank));
  size_t spatial = rank - 2;
  int64_t group = ctx.node().attr_int("group", 1);
  if (group <= 0) ctx.fail("attribute 'group' is " + std::to_string(group));
  Shape out(rank);
  if (input) {
    out[0] = (*input)[0];
    unify(ctx, (*input)[1], (*weight)[0], "channels of input and weight");
  }
  out[1] = scaled(ctx, (*weight)[1], group);
  std::vector<int64_t> kernel = ctx.node().attr_ints("kernel_shape");
  if (kernel.empty())
    for (size_t i = 2; i < rank; ++i) kernel.push_back((*weight)[i].value);
  if (kernel.size() != spatial)
    ctx.fail("attribute 'kernel_shape' has " + std::to_string(kernel.size()) +
             " values, but needs " + std::to_string(spatial));
  if (std::ranges::find(kernel, -1) != kernel.end()) {
    ctx.set(0, ctx.elem(0), out);
    return;
  }
  Window window = read_window(ctx, kernel);
  auto extra = window_attribute(ctx, "output_padding", spatial, 0, 0);
  auto fixed = ctx.node().attr_ints("output_shape");
  // Some files list all dimensions, batch and channels included.
  if (fixed.size() == rank) fixed.erase(fixed.begin(), fixed.begin() + 2);
  if (!fixed.empty() && fixed.size() != spatial)
    ctx.fail("attribute 'output_shape' has " + std::to_string(fixed.size()) +
             " values, but needs " + std::to_string(spatial));
  for (size_t i = 0; i < spatial; ++i) {
    Dim in = input ? (*input)[i + 2] : Dim();
    if (!fixed.empty()) {
      if (fixed[i] < 0)
        ctx.fail("attribute 'output_shape' has the value " +
                 std::to_string(fixed[i]));
      out[i + 2] = Dim(fixed[i]);
    } else if (window.auto_pad == Window::AutoPad::kSameUpper ||
               window.auto_pad == Window::AutoPad::kSameLower) {
      // Pads never add: where the kernel is smaller than the stride, runtimes
      // give what it reaches.
      out[i + 2] = scaled(ctx, in, window.strides[i]);
      int64_t extent = checked_add(
          ctx, checked_multiply(ctx, kernel[i] - 1, window.dilations[i]), 1);
      if (in.known() && in.value > 0 && extent < window.strides[i])
        out[i + 2].value -= window.strides[i] - extent;
    } else if (in.known()) {
      int64_t extent = checked_add(
          ctx, checked_multiply(ctx, kernel[i] - 1, window.dilations[i]), 1);
      int64_t size = checked_multiply(ctx, window.strides[i], in.value - 1);
      size = checked_add(ctx, checked_add(ctx, size, extent), extra[i]);
      out[i + 2] = shifted(
          ctx, shifted(ctx, Dim(std::max<int64_t>(size, 0)), -window.pads[i]),
          -window.pads[i + spatial]);
    }
  }
  ctx.set(0, ctx.elem(0), out);
}

Cost conv_transpose_cost(const Node& node) {
  int64_t channels = dim_value(node.input(1), 0);
  int64_t per_input = channels == 0 ? 0 : elements(node.input(1)) / channels;
  return mac_cost(times(elements(node.input(0)), per_input),
                  node.input(2) ? elements(node.output(0)) : 0);
}

void infer_pool_as(InferContext& ctx, bool channels_last) {
  ctx.set(0, ctx.elem(0));
  ctx.set(1, DataType::kInt64);
  const Shape* input = ctx.shape(0);
  auto kernel = ctx.node().attr_ints("kernel_shape");
  if (kernel.empty()) ctx.fail("attribute 'kernel_shape' is missing");
  Window window = read_window(ctx, kernel);
  if (!input) return;
  if (input->size() != kernel.size() + 2)
    ctx.fail("input has rank " + std::to_string(input->size()) +
             ", but the kernel has " + std::to_string(kernel.size()) +
             " dimensions");
  Shape out = *input;
  size_t first = channels_last ? 1 : 2;
  for (size_t i = 0; i < kernel.size(); ++i)
    out[first + i] = window_output(ctx, window, i, (*input)[first + i]);
  ctx.set(0, ctx.elem(0), out);
  ctx.set(1, DataType::kInt64, out);
}

void infer_pool(InferContext& ctx) {
  infer_pool_as(ctx, /*channels_last=*/false);
}

void infer_global_pool_as(InferContext& ctx, bool channels_last) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  if (!input) return;
  if (input->size() < 2)
    ctx.fail("input has rank " + std::to_string(input->size()) +
             ", but needs at least 2");
  Shape out = *input;
  size_t first = channels_last ? 1 : 2;
  for (size_t i = 0; i + 2 < input->size(); ++i) out[first + i] = Dim(1);
  ctx.set(0, ctx.elem(0), out);
}

void infer_global_pool(InferContext& ctx) {
  infer_global_pool_as(ctx, /*channels_last=*/false);
}

Cost pool_cost(const Node& node) {
  Cost cost;
  int64_t window = 1;
  for (int64_t size : node.attr_ints("kernel_shape"))
    window = times(window, std::max<int64_t>(size, 0));
  cost.flops = times(elements(node.output(0)), window);
  return cost;
}

}  // namespace lathe::ir
