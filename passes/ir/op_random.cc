// Random generators: never folded, never merged.
#include "passes/ir/op_families.h"
#include "passes/ir/op_helpers.h"

namespace lathe::ir {
namespace {

void infer_random(InferContext& ctx) {
  auto dims = ctx.node().attr_ints("shape");
  for (int64_t dim : dims)
    if (dim < 0)
      ctx.fail("attribute 'shape' has the dimension " + std::to_string(dim));
  ctx.set(0, elem_attribute(ctx, "dtype", DataType::kFloat), to_shape(dims));
}

void infer_random_like(InferContext& ctx) {
  ctx.set(0, elem_attribute(ctx, "dtype", ctx.elem(0)), ctx.shape_copy(0));
}

void infer_multinomial(InferContext& ctx) {
  int64_t samples = ctx.node().attr_int("sample_size", 1);
  if (samples < 0)
    ctx.fail("attribute 'sample_size' is " + std::to_string(samples));
  ctx.set(0, elem_attribute(ctx, "dtype", DataType::kInt32),
          Shape{ctx.dim(0, 0), Dim(samples)});
}

constexpr Operator row(const char* name, int inputs,
                       void (*infer)(InferContext&)) {
  return {name,
          "",
          OpClass::kOther,
          inputs,
          inputs,
          1,
          1,
          infer,
          nullptr,
          /*deterministic=*/false};
}

constexpr Operator kRows[] = {
    row("Bernoulli", 1, infer_random_like),
    row("Multinomial", 1, infer_multinomial),
    row("RandomNormal", 0, infer_random),
    row("RandomNormalLike", 1, infer_random_like),
    row("RandomUniform", 0, infer_random),
    row("RandomUniformLike", 1, infer_random_like),
};

}  // namespace

std::span<const Operator> random_operators() { return kRows; }

}  // namespace lathe::ir
