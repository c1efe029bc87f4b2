// grid_sampler and the grids of affine maps.
#include <string>

#include "passes/io/torch/aten/aten_sizes.h"
#include "passes/io/torch/aten/aten_tensor_emitters.h"

namespace lathe::io::aten {
namespace {

using ir::DataType;
using ir::Value;

// Points of a grid that is written into the model.
constexpr int64_t kMaxPoints = int64_t{1} << 22;

// `count` coordinates from -1 to 1: of the pixels' centres, or with the outer
// ones on the corners.
std::vector<double> coordinates(int64_t count, bool align_corners) {
  std::vector<double> result;
  for (int64_t i = 0; i < count; ++i) {
    const auto n = static_cast<double>(count), at = static_cast<double>(i);
    if (count == 1)
      result.push_back(0);
    else if (align_corners)
      result.push_back(2 * at / (n - 1) - 1);
    else
      result.push_back((2 * at + 1) / n - 1);
  }
  return result;
}

}  // namespace

Arguments emit_grid_sampler(const AtenCall& call) {
  constexpr const char* kModes[] = {"bilinear", "nearest", "bicubic"};
  constexpr const char* kPaddings[] = {"zeros", "border", "reflection"};
  OnnxBuilder& builder = call.builder();
  Value *input = call.tensor("input"), *grid = call.tensor("grid");
  const int64_t mode = call.integer("interpolation_mode");
  const int64_t padding = call.integer("padding_mode");
  if (mode < 0 || mode > 2 || padding < 0 || padding > 2)
    call.unsupported("interpolation_mode is " + std::to_string(mode) +
                     " and padding_mode is " + std::to_string(padding) +
                     ", expected 0 to 2");
  if (const int64_t rank = builder.rank(input); rank != 4)
    call.unsupported("found a tensor of rank " + std::to_string(rank) +
                         ", but ONNX opset 17 samples images (rank 4) only",
                     "sample slice by slice");
  const DataType type = builder.elem(input);
  return one(builder.cast(
      builder.op(
          "GridSample",
          {builder.cast(input, DataType::kFloat),
           builder.cast(grid, DataType::kFloat)},
          {{"mode", kModes[mode]},
           {"padding_mode", kPaddings[padding]},
           {"align_corners", int64_t{call.flag("align_corners", false)}}}),
      type));
}

// theta [N, d, d + 1] times the homogeneous coordinates of every point.
Arguments emit_affine_grid(const AtenCall& call) {
  OnnxBuilder& builder = call.builder();
  Value* theta = call.tensor("theta");
  const Sizes sizes = size_list(call, "size");
  if (sizes.size() != 4 && sizes.size() != 5)
    call.unsupported("argument 'size' has " + std::to_string(sizes.size()) +
                     " elements, expected 4 or 5");
  const bool align_corners = call.flag("align_corners", false);
  std::vector<std::vector<double>> axes;
  int64_t points = 1;
  for (size_t i = 2; i < sizes.size(); ++i) {
    if (!is_constant_int(sizes[i]))
      call.unsupported("the grid's size is computed, expected a constant",
                       "give the inputs' shapes with --input-shape");
    const int64_t size = sizes[i].integer;
    if (size <= 0 || size > kMaxPoints || points * size > kMaxPoints)
      call.unsupported("the grid has an axis of size " + std::to_string(size) +
                       ", expected at most " + std::to_string(kMaxPoints) +
                       " points in all");
    points *= size;
    axes.push_back(coordinates(size, align_corners));
  }
  const size_t d = axes.size();
  std::vector<double> base;
  for (int64_t point = 0; point < points; ++point) {
    // The last axis of the image is x, the first coordinate.
    int64_t rest = point;
    for (size_t i = d; i-- > 0;) {
      const auto size = static_cast<int64_t>(axes[i].size());
      base.push_back(axes[i][static_cast<size_t>(rest % size)]);
      rest /= size;
    }
    base.push_back(1);
  }
  const DataType type = builder.elem(theta);
  Value* grid = builder.op(
      "MatMul", {builder.constant(ir::Tensor::from_doubles(
                     type, {points, static_cast<int64_t>(d) + 1}, base)),
                 builder.transpose(theta, {0, 2, 1})});
  Sizes shape{size_of(builder, theta, 0)};
  shape.insert(shape.end(), sizes.begin() + 2, sizes.end());
  shape.push_back(Argument::of_int(static_cast<int64_t>(d)));
  return one(reshape_to(builder, grid, shape));
}

}  // namespace lathe::io::aten
