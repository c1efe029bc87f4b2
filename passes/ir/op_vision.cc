// Operators of detectors and geometric transforms.
#include <algorithm>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

// X [N, C, spatial...], grid [N, out..., spatial rank] -> [N, C, out...].
void infer_grid_sample(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape *input = ctx.shape(0), *grid = ctx.shape(1);
  if (!input || !grid) return;
  if (input->size() < 3 || grid->size() != input->size())
    ctx.fail("input has rank " + std::to_string(input->size()) +
             " and grid rank " + std::to_string(grid->size()));
  Shape out = *grid;
  out.pop_back();
  out.insert(out.begin() + 1, (*input)[1]);
  out[0] = unify(ctx, (*input)[0], (*grid)[0], "batches of input and grid");
  ctx.set(0, ctx.elem(0), out);
}

// theta, size [N, C, spatial...] -> [N, spatial..., spatial rank].
void infer_affine_grid(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto size = shape_from_input(ctx, 1);
  if (!size) return;
  if (size->size() < 3)
    ctx.fail("size has " + std::to_string(size->size()) +
             " values, but needs at least 3");
  Shape out{(*size)[0]};
  out.insert(out.end(), size->begin() + 2, size->end());
  out.push_back(Dim(static_cast<int64_t>(size->size()) - 2));
  ctx.set(0, ctx.elem(0), out);
}

void infer_roi_align(InferContext& ctx) {
  int64_t height = ctx.node().attr_int("output_height", 1);
  int64_t width = ctx.node().attr_int("output_width", 1);
  if (height <= 0 || width <= 0)
    ctx.fail("attributes 'output_height' and 'output_width' are not positive");
  ctx.set(0, ctx.elem(0),
          Shape{ctx.dim(1, 0), ctx.dim(0, 1), Dim(height), Dim(width)});
}

void infer_non_max_suppression(InferContext& ctx) {
  ctx.set(0, DataType::kInt64, Shape{Dim(), Dim(3)});
}

// [N, C * prod(block), L] -> [N, C, image...].
void infer_col2im(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto image = shape_from_input(ctx, 1), block = shape_from_input(ctx, 2);
  if (!image) return;
  Shape out{ctx.dim(0, 0), Dim()};
  if (block && is_static(*block)) {
    Dim area = product(ctx, *block);
    if (area.value <= 0) ctx.fail("the block has no elements");
    out[1] = divided(ctx, ctx.dim(0, 1), area.value);
  }
  out.insert(out.end(), image->begin(), image->end());
  ctx.set(0, ctx.elem(0), out);
}

void infer_center_crop_pad(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  auto target = shape_from_input(ctx, 1);
  int64_t rank = static_cast<int64_t>(shape->size());
  std::vector<int64_t> axes;
  if (ctx.node().has_attribute("axes"))
    axes = normalize_axes(ctx, ctx.node().attr_ints("axes"), rank);
  else
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  if (target && target->size() != axes.size())
    ctx.fail("the shape has " + std::to_string(target->size()) +
             " values, but " + std::to_string(axes.size()) + " axes are cut");
  for (size_t i = 0; i < axes.size(); ++i)
    (*shape)[static_cast<size_t>(axes[i])] = target ? (*target)[i] : Dim();
  ctx.set(0, ctx.elem(0), shape);
}

void infer_image_decoder(InferContext& ctx) {
  bool gray = ctx.node().attr_string("pixel_format", "RGB") == "Grayscale";
  ctx.set(0, DataType::kUint8, Shape{Dim(), Dim(), Dim(gray ? 1 : 3)});
}

constexpr Operator row(const char* name, int min_inputs, int max_inputs,
                       void (*infer)(InferContext&),
                       Cost (*cost)(const Node&) = nullptr,
                       const AxisRule* axes = nullptr) {
  return {name, "",  OpClass::kOther, min_inputs, max_inputs, 1, 1, infer, cost,
          true, axes};
}

constexpr Operator kRows[] = {
    row("AffineGrid", 2, 2, infer_affine_grid),
    row("CenterCropPad", 2, 2, infer_center_crop_pad),
    row("Col2Im", 3, 3, infer_col2im, cost_per_input<1>),
    // Bilinear: four weighted points.
    row("GridSample", 2, 2, infer_grid_sample, cost_per_output<8>,
        &kWindowAxes),
    row("ImageDecoder", 1, 1, infer_image_decoder),
    row("NonMaxSuppression", 2, 5, infer_non_max_suppression),
    row("RoiAlign", 3, 3, infer_roi_align, cost_per_output<8>, &kWindowAxes),
};

}  // namespace

std::span<const Operator> vision_operators() { return kRows; }

}  // namespace lathe::ir
