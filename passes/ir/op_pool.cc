// Poolings over sliding windows and over whole channels.
#include "passes/ir/op_families.h"
#include "passes/ir/op_window.h"

namespace lathe::ir {
namespace {

// out = (in - 1) * stride + kernel - pads, unless the third input says.
void infer_max_unpool(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  if (ctx.has_input(2)) {
    ctx.set(0, ctx.elem(0), shape_from_input(ctx, 2));
    return;
  }
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
  for (size_t i = 0; i < kernel.size(); ++i) {
    const Dim& in = (*input)[i + 2];
    if (!in.known()) {
      out[i + 2] = Dim();
      continue;
    }
    int64_t size = checked_add(
        ctx, checked_multiply(ctx, in.value - 1, window.strides[i]), kernel[i]);
    size = checked_add(ctx, size, -window.pads[i]);
    size = checked_add(ctx, size, -window.pads[i + kernel.size()]);
    if (size < 0) ctx.fail("the pads take away more than there is");
    out[i + 2] = Dim(size);
  }
  ctx.set(0, ctx.elem(0), out);
}

// X [N, C, H, W], rois [R, 5] -> [R, C, pooled_h, pooled_w].
void infer_max_roi_pool(InferContext& ctx) {
  auto pooled = ctx.node().attr_ints("pooled_shape");
  if (pooled.size() != 2 || pooled[0] <= 0 || pooled[1] <= 0)
    ctx.fail("attribute 'pooled_shape' needs two positive values");
  ctx.set(0, ctx.elem(0),
          Shape{ctx.dim(1, 0), ctx.dim(0, 1), Dim(pooled[0]), Dim(pooled[1])});
}

constexpr Operator pool(const char* name, int max_outputs,
                        void (*infer)(InferContext&), Cost (*cost)(const Node&),
                        int min_inputs = 1, int max_inputs = 1) {
  return {name,  "",  OpClass::kPooling, min_inputs, max_inputs, 1, max_outputs,
          infer, cost};
}

constexpr Operator kRows[] = {
    pool("AveragePool", 1, infer_pool, pool_cost),
    pool("GlobalAveragePool", 1, infer_global_pool, cost_per_input<1>),
    pool("GlobalLpPool", 1, infer_global_pool, cost_per_input<2>),
    pool("GlobalMaxPool", 1, infer_global_pool, cost_per_input<1>),
    pool("LpPool", 1, infer_pool,
         [](const Node& node) {
           Cost cost = pool_cost(node);
           cost.flops = times(cost.flops, 2);
           return cost;
         }),
    pool("MaxPool", 2, infer_pool, pool_cost),
    pool("MaxRoiPool", 1, infer_max_roi_pool, nullptr, 2, 2),
    pool("MaxUnpool", 1, infer_max_unpool, nullptr, 2, 3),
};

}  // namespace

std::span<const Operator> pool_operators() { return kRows; }

}  // namespace lathe::ir
