// Attributes of sliding windows, and the pads they come to.
#include "passes/exec/window.h"

#include <algorithm>

namespace lathe::exec {
namespace {

size_t count_axes(const NodeInfo& info, const Ints& kernel,
                  size_t ranked_input) {
  if (!kernel.empty()) return kernel.size();
  const ir::Value* value = info.node.input(ranked_input);
  if (value && value->type.shape) {
    const size_t rank = value->type.shape->size();
    if (rank < 3)
      info.invalid("input " + std::to_string(ranked_input) + " has rank " +
                   std::to_string(rank) + ", but needs at least 3");
    return rank - 2;
  }
  for (const char* name : {"strides", "dilations"})
    if (const size_t size = info.node.attr_ints(name).size()) return size;
  if (const size_t size = info.node.attr_ints("pads").size()) return size / 2;
  info.unsupported("how many axes its window has is not known",
                   "give kernel_shape, or infer shapes first");
}

Window::AutoPad read_auto_pad(const NodeInfo& info) {
  const std::string name = info.node.attr_string("auto_pad", "NOTSET");
  if (name == "SAME_UPPER") return Window::AutoPad::kSameUpper;
  if (name == "SAME_LOWER") return Window::AutoPad::kSameLower;
  if (name == "VALID") return Window::AutoPad::kValid;
  if (name != "NOTSET" && !name.empty())
    info.invalid("attribute 'auto_pad' is '" + name +
                 "', but should be NOTSET, SAME_UPPER, SAME_LOWER or VALID");
  return Window::AutoPad::kNotSet;
}

}  // namespace

bool Window::dilated() const {
  return std::ranges::any_of(dilations, [](int64_t d) { return d != 1; });
}

Ints window_attribute(const NodeInfo& info, const char* name, size_t count,
                      int64_t fallback, int64_t smallest) {
  Ints values = info.node.attr_ints(name);
  if (values.empty()) return Ints(count, fallback);
  if (values.size() != count)
    info.invalid("attribute '" + std::string(name) + "' has " +
                 std::to_string(values.size()) + " values, but needs " +
                 std::to_string(count));
  for (int64_t value : values)
    if (value < smallest)
      info.invalid("attribute '" + std::string(name) + "' has the value " +
                   std::to_string(value) + ", but needs at least " +
                   std::to_string(smallest));
  return values;
}

Window read_window(const NodeInfo& info, size_t ranked_input) {
  Window window;
  window.kernel = info.node.attr_ints("kernel_shape");
  const size_t axes = count_axes(info, window.kernel, ranked_input);
  if (axes > 3)
    info.unsupported("its window has " + std::to_string(axes) + " axes",
                     "there may be at most three");
  if (!window.kernel.empty())
    window.kernel = window_attribute(info, "kernel_shape", axes, 1, 1);
  window.strides = window_attribute(info, "strides", axes, 1, 1);
  window.dilations = window_attribute(info, "dilations", axes, 1, 1);
  const Ints pads = window_attribute(info, "pads", 2 * axes, 0, 0);
  window.auto_pad = read_auto_pad(info);
  window.ceil_mode = info.node.attr_int("ceil_mode", 0) != 0;
  const auto half = pads.begin() + static_cast<int64_t>(axes);
  if (window.auto_pad == Window::AutoPad::kNotSet) {
    window.begins.assign(pads.begin(), half);
    window.ends.assign(half, pads.end());
  } else {
    window.begins.assign(axes, 0);
    window.ends.assign(axes, 0);
  }
  return window;
}

// ONNX's operator specifications of Conv and MaxPool: SAME gives
// ceil(in / stride) windows; with ceil_mode a window that starts only in the
// end padding is left out.
Pads resolve_pads(const Window& window, at::IntArrayRef sizes,
                  at::IntArrayRef kernel) {
  Pads pads{window.begins, window.ends, Ints(window.axes(), 0)};
  if (sizes.size() != window.axes() + 2) return pads;  // the call will refuse
  for (size_t i = 0; i < window.axes(); ++i) {
    const int64_t in = sizes[i + 2], stride = window.strides[i];
    const int64_t extent = window.extent(i, kernel[i]);
    if (window.same()) {
      const int64_t windows = (in + stride - 1) / stride;
      const int64_t total =
          std::max<int64_t>(0, (windows - 1) * stride + extent - in);
      const bool upper = window.auto_pad == Window::AutoPad::kSameUpper;
      pads.begins[i] = upper ? total / 2 : total - total / 2;
      pads.ends[i] = total - pads.begins[i];
    } else if (window.ceil_mode) {
      const int64_t room = in + pads.begins[i] + pads.ends[i] - extent;
      if (room < 0 || room % stride == 0) continue;
      const int64_t start = (room / stride + 1) * stride;
      if (start < in + pads.begins[i]) pads.beyond[i] = start - room;
    }
  }
  return pads;
}

Ints pad_list(const Ints& begins, const Ints& ends) {
  Ints list;
  bool any = false;
  for (size_t i = begins.size(); i-- > 0;) {
    list.push_back(begins[i]);
    list.push_back(ends[i]);
    any = any || begins[i] != 0 || ends[i] != 0;
  }
  if (!any) list.clear();
  return list;
}

at::Tensor padded(const at::Tensor& x, const Ints& list, double value) {
  return list.empty() ? x : at::constant_pad_nd(x, list, value);
}

}  // namespace lathe::exec
