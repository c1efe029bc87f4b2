// Resampling and the exchange of channels for space.
#include <algorithm>
#include <cmath>

#include "passes/ir/op_axes.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

Dim rescaled(const InferContext& ctx, const Dim& dim, double scale) {
  if (!(scale > 0) || !std::isfinite(scale))
    ctx.fail("scale is " + std::to_string(scale) + ", but should be positive");
  if (scale == 1) return dim;
  if (!dim.known()) return Dim();
  // Scales are float32; runtimes multiply in that type.
  float size =
      std::floor(static_cast<float>(dim.value) * static_cast<float>(scale));
  if (!(size < 0x1p53f)) ctx.fail("the output would be too large");
  return Dim(static_cast<int64_t>(size));
}

// Scales for every axis. Opset 7: attribute; 9: input.
void infer_upsample(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  std::optional<std::vector<double>> scales;
  if (ctx.node().has_attribute("scales")) {
    auto given = ctx.node().attr_floats("scales");
    scales.emplace(given.begin(), given.end());
  } else {
    scales = ctx.reals(1);
  }
  if (!scales) {
    ctx.set(0, ctx.elem(0), Shape(shape->size()));
    return;
  }
  if (scales->size() != shape->size())
    ctx.fail("has " + std::to_string(scales->size()) + " scales for rank " +
             std::to_string(shape->size()));
  for (size_t i = 0; i < shape->size(); ++i)
    (*shape)[i] = rescaled(ctx, (*shape)[i], (*scales)[i]);
  ctx.set(0, ctx.elem(0), shape);
}

bool empty_input(const InferContext& ctx, size_t i) {
  if (!ctx.has_input(i)) return true;
  Dim length = ctx.dim(i, 0);
  return length.known() && length.value == 0;
}

// sizes of `axes` under keep_aspect_ratio_policy (opset 18): one scale for all
// of them, the smallest or the largest that the sizes ask for.
void keep_aspect(const InferContext& ctx, const Shape& input,
                 const std::vector<int64_t>& axes,
                 const std::vector<int64_t>& sizes, const std::string& policy,
                 Shape& out) {
  double scale = -1;
  for (size_t i = 0; i < axes.size(); ++i) {
    const Dim& dim = input[static_cast<size_t>(axes[i])];
    if (!dim.known() || dim.value == 0) {
      for (int64_t axis : axes) out[static_cast<size_t>(axis)] = Dim();
      return;
    }
    double own = static_cast<double>(sizes[i]) / static_cast<double>(dim.value);
    bool smaller = policy == "not_larger";
    if (scale < 0 || (smaller ? own < scale : own > scale)) scale = own;
  }
  for (int64_t axis : axes) {
    double size = std::floor(
        scale * static_cast<double>(input[static_cast<size_t>(axis)].value) +
        0.5);
    if (!(size < 0x1p53)) ctx.fail("the output would be too large");
    out[static_cast<size_t>(axis)] = Dim(static_cast<int64_t>(size));
  }
}

// Opset 10: X, scales. From 11: X, roi, scales, sizes; axes from 18.
void infer_resize(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  const Shape* input = ctx.shape(0);
  if (!input) return;
  int64_t rank = static_cast<int64_t>(input->size());
  bool old_form = ctx.opset() < 11 && ctx.input_count() == 2;
  size_t scales_at = old_form ? 1 : 2;
  std::vector<int64_t> axes;
  if (ctx.node().has_attribute("axes"))
    axes = normalize_axes(ctx, ctx.node().attr_ints("axes"), rank);
  else
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  Shape out = *input;
  auto check_count = [&](size_t count, const char* what) {
    if (count != axes.size())
      ctx.fail("has " + std::to_string(count) + " " + what + ", but needs " +
               std::to_string(axes.size()));
  };
  if (!old_form && !empty_input(ctx, 3)) {
    auto sizes = ctx.data_or_unknown(3);
    if (!sizes) {
      ctx.set(0, ctx.elem(0), Shape(input->size()));
      return;
    }
    check_count(sizes->elements.size(), "sizes");
    std::string policy =
        ctx.node().attr_string("keep_aspect_ratio_policy", "stretch");
    for (size_t i = 0; i < axes.size(); ++i) {
      const Element& size = sizes->elements[i];
      if (size.is_int() && size.integer <= 0)
        ctx.fail("size is " + std::to_string(size.integer) +
                 ", but should be positive");
      out[static_cast<size_t>(axes[i])] =
          policy == "stretch" ? size.dim() : Dim();
    }
    if (auto known = ctx.ints(3); known && policy != "stretch")
      keep_aspect(ctx, *input, axes, *known, policy, out);
  } else if (!empty_input(ctx, scales_at)) {
    auto scales = ctx.reals(scales_at);
    // The region of interest scales as well, and is data.
    bool crops = ctx.node().attr_string("coordinate_transformation_mode", "") ==
                 "tf_crop_and_resize";
    if (scales) check_count(scales->size(), "scales");
    for (size_t i = 0; i < axes.size(); ++i) {
      Dim& dim = out[static_cast<size_t>(axes[i])];
      dim = scales && !crops ? rescaled(ctx, dim, (*scales)[i]) : Dim();
    }
  } else {
    ctx.fail("neither scales nor sizes are given");
  }
  ctx.set(0, ctx.elem(0), out);
}

// Between [N, C, H, W] and [N, C / b^2, H * b, W * b].
void infer_block_move(InferContext& ctx, bool to_space) {
  ctx.set(0, ctx.elem(0));
  int64_t block = required_int(ctx, "blocksize");
  if (block <= 0) ctx.fail("attribute 'blocksize' is " + std::to_string(block));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  if (shape->size() != 4)
    ctx.fail("input has rank " + std::to_string(shape->size()) +
             ", but needs rank 4");
  const int64_t area = checked_multiply(ctx, block, block);
  auto resize = [&](size_t axis, int64_t factor, bool grows) {
    (*shape)[axis] = grows ? scaled(ctx, (*shape)[axis], factor)
                           : divided(ctx, (*shape)[axis], factor);
  };
  resize(1, area, !to_space);
  resize(2, block, to_space);
  resize(3, block, to_space);
  ctx.set(0, ctx.elem(0), shape);
}

void infer_depth_to_space(InferContext& ctx) { infer_block_move(ctx, true); }
void infer_space_to_depth(InferContext& ctx) { infer_block_move(ctx, false); }

// Nearest copies; linear blends 2 points an axis, cubic 4: a multiply and an
// add each.
Cost resize_cost(const Node& node) {
  std::string mode = node.attr_string("mode", "nearest");
  Cost cost;
  if (mode == "nearest") return cost;
  int64_t points = 1;
  const Value *input = node.input(0), *output = node.output(0);
  int64_t rank = input && input->type.shape
                     ? static_cast<int64_t>(input->type.shape->size())
                     : 0;
  for (int64_t i = 0; i < rank; ++i)
    if (dim_value(input, i) != dim_value(output, i))
      points = times(points, mode == "cubic" ? 4 : 2);
  cost.flops = times(elements(output), times(2, points));
  return cost;
}

constexpr Operator kRows[] = {
    {"Resize", "", OpClass::kDataMovement, 1, 4, 1, 1, infer_resize,
     resize_cost, true, &kResizeAxes},
    {"Upsample", "", OpClass::kDataMovement, 1, 2, 1, 1, infer_upsample,
     resize_cost, true, &kResizeAxes},
    {"DepthToSpace", "", OpClass::kDataMovement, 1, 1, 1, 1,
     infer_depth_to_space, nullptr, true, &kDepthToSpaceAxes},
    {"SpaceToDepth", "", OpClass::kDataMovement, 1, 1, 1, 1,
     infer_space_to_depth, nullptr, true, &kSpaceToDepthAxes},
};

}  // namespace

std::span<const Operator> resize_operators() { return kRows; }

}  // namespace lathe::ir
