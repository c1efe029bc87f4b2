// Sizes of convolutions, poolings, resizes and reorders.
#include <algorithm>
#include <array>
#include <string_view>

#include "calibration/latency/kernel_describe.h"

namespace lathe::latency {
namespace {

// Batch, channels, height, width, whatever their order and number.
struct Image {
  int64_t batch = 0, channels = 0, height = 0, width = 0;
};

// Three spatial axes: the first two count as one.
std::optional<Image> image_of(const ir::Value* value, bool channels_last) {
  auto dims = dims_of(value);
  if (!dims || dims->size() < 3 || dims->size() > 5) return std::nullopt;
  Image image;
  image.batch = dims->front();
  image.channels = channels_last ? dims->back() : (*dims)[1];
  std::vector<int64_t> spatial(dims->begin() + (channels_last ? 1 : 2),
                               dims->end() - (channels_last ? 1 : 0));
  image.width = spatial.back();
  image.height = 1;
  for (size_t i = 0; i + 1 < spatial.size(); ++i)
    image.height = saturating_multiply(image.height, spatial[i]);
  return image;
}

// An attribute of spatial extents as (height, width).
std::array<int64_t, 2> pair_of(const std::vector<int64_t>& values,
                               int64_t fallback) {
  if (values.empty()) return {fallback, fallback};
  int64_t height = 1;
  for (size_t i = 0; i + 1 < values.size(); ++i)
    height = saturating_multiply(height, values[i]);
  return {height, values.back()};
}

// Index of a convolution's weights; 0: it is none.
size_t weight_index(const KernelDescriptor& kernel, const ir::Node& node) {
  if (kernel.kind.find("conv") == std::string::npos) return 0;
  return node.op_type.starts_with("QLinear") ? 3 : 1;
}

// A Resize whose channels moved last by pushed transposes.
bool resizes_interleaved(const ir::Node& node) {
  auto in = dims_of(node.input(0)), out = dims_of(node.output());
  return in && out && in->size() == 4 && out->size() == 4 &&
         (*in)[3] == (*out)[3] && (*in)[1] != (*out)[1];
}

// Pixels of the source, along an axis, that a resized pixel is made of.
int64_t interpolation_window(const ir::Node& node) {
  const std::string mode = node.attr_string("mode", "nearest");
  return mode == "cubic" ? 4 : mode == "nearest" ? 1 : 2;
}

}  // namespace

void describe_window(const NodeView& view, KernelDescriptor& kernel) {
  const ir::Node& node = view.node;
  const std::string& kind = kernel.kind;
  size_t weight = weight_index(kernel, node);
  bool pool = kind.ends_with("_pool");
  bool global = pool && kind.starts_with("global_");
  bool resize = kind == "resize";
  bool sizes_only = resize || kind.starts_with("reorder_");
  // Blocks of channels are whole, whatever is done with them.
  sizes_only =
      sizes_only || (!weight && !pool && view.layout == Layout::kBlocked);
  if (!weight && !pool && !sizes_only) return;

  bool last = view.channels_last;
  if (resize && resizes_interleaved(node)) {
    last = true;
    kernel.layout = Layout::kInterleaved;
  }
  // A reorder's blocked side keeps the axes' order.
  auto in = image_of(node.input(0), last && kind != "reorder_output");
  auto out = image_of(node.output(), last && kind != "reorder_input");
  if (!in || !out) return;
  kernel.batch = in->batch;
  kernel.in_channels = in->channels;
  kernel.in_height = in->height;
  kernel.in_width = in->width;
  kernel.out_channels = out->channels;
  kernel.out_height = out->height;
  kernel.out_width = out->width;
  if (resize)
    kernel.kernel_height = kernel.kernel_width = interpolation_window(node);
  if (sizes_only) return;
  if (global) {
    kernel.kernel_height = in->height;
    kernel.kernel_width = in->width;
    kernel.stride_height = kernel.stride_width = 1;
    kernel.dilation_height = kernel.dilation_width = 1;
    return;
  }
  std::vector<int64_t> extents = node.attr_ints("kernel_shape");
  bool one_dimensional = false;
  if (auto dims = dims_of(node.input(0))) one_dimensional = dims->size() == 3;
  if (weight) {
    auto dims = dims_of(node.input(weight));
    if (dims && dims->size() > 2)
      extents.assign(dims->begin() + 2, dims->end());
    kernel.group = node.attr_int("group", 1);
  }
  auto [kernel_height, kernel_width] = pair_of(extents, 1);
  auto [stride_height, stride_width] = pair_of(node.attr_ints("strides"), 1);
  auto [dilation_height, dilation_width] =
      pair_of(node.attr_ints("dilations"), 1);
  kernel.kernel_height = one_dimensional ? 1 : kernel_height;
  kernel.kernel_width = kernel_width;
  kernel.stride_height = one_dimensional ? 1 : stride_height;
  kernel.stride_width = stride_width;
  kernel.dilation_height = one_dimensional ? 1 : dilation_height;
  kernel.dilation_width = dilation_width;
}

}  // namespace lathe::latency
