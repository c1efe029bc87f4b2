// The sliding windows of convolutions and poolings. Internal to the executor.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/exec/operator_kernel.h"

namespace lathe::exec {

using Ints = std::vector<int64_t>;

struct Pads {
  Ints begins, ends;
  // What ceil_mode makes the last window reach beyond the end padding.
  Ints beyond;
};

struct Window {
  enum class AutoPad { kNotSet, kSameUpper, kSameLower, kValid };
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
  Ints kernel;  // empty when the node does not say
  // One an axis.
  Ints strides, dilations;
  Ints begins, ends;  // 0 where auto_pad stands

  size_t axes() const { return strides.size(); }
  bool same() const {
    return auto_pad == AutoPad::kSameUpper || auto_pad == AutoPad::kSameLower;
  }
  bool dilated() const;
  // What a kernel of `size` elements covers along the axis.
  int64_t extent(size_t axis, int64_t size) const {
    return (size - 1) * dilations[axis] + 1;
  }
};

// The node's attributes, checked. How many axes there are is taken from
// kernel_shape, else from the rank of that input. Error kUnsupported when
// neither tells, or there are more than three.
Window read_window(const NodeInfo& info, size_t ranked_input);
// An attribute with a value an axis; the fallback where it is absent. Error
// kInput for another count and for values below `smallest`.
Ints window_attribute(const NodeInfo& info, const char* name, size_t count,
                      int64_t fallback, int64_t smallest);

// The pads for an input whose spatial sizes begin at sizes[2].
Pads resolve_pads(const Window& window, at::IntArrayRef sizes,
                  at::IntArrayRef kernel);

// For at::constant_pad_nd: last axis first. Empty when all are 0.
Ints pad_list(const Ints& begins, const Ints& ends);
// `x` itself when the list is empty.
at::Tensor padded(const at::Tensor& x, const Ints& list, double value);

}  // namespace lathe::exec
