// Sliding windows: what convolutions and poolings share.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/ir/op_helpers.h"

namespace lathe::ir {

struct Window {
  std::vector<int64_t> kernel, strides, dilations, pads;  // pads: begins, ends
  enum class AutoPad { kNotSet, kSameUpper, kSameLower, kValid };
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
};

// Attributes of a node with kernel.size() spatial axes, checked: strides,
// dilations and kernel positive, pads not negative.
Window read_window(const InferContext& ctx, std::vector<int64_t> kernel);

// Spatial output: floor((in + pads - ((k-1)*d+1)) / stride) + 1, or ceil; with
// auto_pad SAME ceil(in / stride). ONNX operator specifications of Conv and
// MaxPool. A window that starts only in the end padding is left out.
Dim window_output(const InferContext& ctx, const Window& window, size_t axis,
                  const Dim& in);

// Row functions that contrib families share. x, w: input indices.
void infer_conv_as(InferContext& ctx, size_t x, size_t w, DataType elem,
                   bool channels_last, bool check_channels = true);
void infer_conv(InferContext& ctx);
Cost conv_cost_with_weight(const Node& node, size_t w);
Cost conv_cost(const Node& node);
void infer_conv_transpose(InferContext& ctx);
Cost conv_transpose_cost(const Node& node);
// Output 0; output 1 (int64 indices) where the node has one.
void infer_pool_as(InferContext& ctx, bool channels_last);
void infer_pool(InferContext& ctx);
void infer_global_pool_as(InferContext& ctx, bool channels_last);
void infer_global_pool(InferContext& ctx);
Cost pool_cost(const Node& node);

}  // namespace lathe::ir
