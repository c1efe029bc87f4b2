// Windows of pooling operators, shared by the fixed and the adaptive ones.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "passes/io/torch/aten/aten_families.h"

namespace lathe::io::aten::pooling {

using Sizes = std::vector<int64_t>;

// One value for each spatial axis.
struct Pool {
  Sizes kernel, stride, padding, dilation;
  bool ceil = false;  // the size of the output is rounded up

  size_t spatial() const { return kernel.size(); }
  int64_t extent(size_t i) const { return dilation[i] * (kernel[i] - 1) + 1; }
};

// The tensor's axis: batch and channels come first.
inline int64_t axis_of(size_t spatial_axis) {
  return static_cast<int64_t>(spatial_axis) + 2;
}

// The pooled tensor, always with a batch dimension.
class Batched {
 public:
  Batched(OnnxBuilder& builder, ir::Value* value, size_t spatial);

  ir::Value* value() const { return value_; }
  // A result without the batch dimension that the input did not have.
  ir::Value* back(ir::Value* pooled) const;

 private:
  OnnxBuilder& builder_;
  bool unbatched_;
  ir::Value* value_;
};

// How PyTorch's ceil_mode is written. It rounds the output's size up, except
// that the last window must start inside the input or the padding before it;
// ONNX has that exception since opset 22 only. Sizes that are known need no
// ceil_mode: padding at the end gives the same windows.
struct Rounding {
  Sizes end_padding;
  bool ceil_mode = false;
  // Spatial axes with the size they are cut to (only with ceil_mode).
  std::vector<std::pair<size_t, Argument>> cuts;
};

Rounding round_up(OnnxBuilder& builder, ir::Value* x, const Pool& pool);

// `x` has a batch dimension in all of these.
ir::Value* max_values(OnnxBuilder& builder, ir::Value* x, const Pool& pool,
                      const Rounding& rounding);
// Where in its plane each maximum stands, row by row.
ir::Value* max_indices(OnnxBuilder& builder, ir::Value* x, const Pool& pool,
                       const Rounding& rounding);
// `begins` is the padding before each axis, rounding.end_padding that after.
ir::Value* average(OnnxBuilder& builder, ir::Value* x, const Pool& pool,
                   const Sizes& begins, const Rounding& rounding,
                   bool count_padding);
// The type that means of `type` are computed in; fails for integers.
ir::DataType mean_type(const AtenCall& call, ir::DataType type);

// The rows adaptive_avg_pool1d to 3d and adaptive_max_pool1d to 3d
// (aten_adaptive_pooling.cc).
template <size_t kSpatial>
Arguments emit_adaptive_avg_pool(const AtenCall& call);
template <size_t kSpatial>
Arguments emit_adaptive_max_pool(const AtenCall& call);

}  // namespace lathe::io::aten::pooling
