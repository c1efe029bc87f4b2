#include "passes/ir/op_quantization.h"

#include "passes/ir/op_families.h"

namespace lathe::ir {
namespace {

// y (uint8), y_scale, y_zero_point.
void infer_dynamic_quantize(InferContext& ctx) {
  ctx.set(0, DataType::kUint8, ctx.shape_copy(0));
  ctx.set(1, DataType::kFloat, Shape());
  ctx.set(2, DataType::kUint8, Shape());
}

constexpr Operator kRows[] = {
    // Scale, round, shift, clamp.
    {"QuantizeLinear", "", OpClass::kQuantization, 2, 3, 1, 1, infer_quantize,
     cost_per_output<4>},
    {"DequantizeLinear", "", OpClass::kQuantization, 2, 3, 1, 1,
     infer_dequantize, cost_per_output<2>},
    {"DynamicQuantizeLinear", "", OpClass::kQuantization, 1, 1, 3, 3,
     infer_dynamic_quantize, cost_per_input<6>},
};

}  // namespace

// The zero point's type, output_dtype (opset 21), or uint8.
void infer_quantize(InferContext& ctx) {
  DataType elem = elem_attribute(ctx, "output_dtype", DataType::kUndefined);
  if (ctx.has_input(2))
    elem = ctx.elem(2);
  else if (elem == DataType::kUndefined)
    elem = DataType::kUint8;
  ctx.set(0, elem, ctx.shape_copy(0));
}

void infer_dequantize(InferContext& ctx) {
  DataType elem = ctx.elem(1);
  if (DataType wanted =
          elem_attribute(ctx, "output_dtype", DataType::kUndefined);
      wanted != DataType::kUndefined)
    elem = wanted;
  ctx.set(0, elem, ctx.shape_copy(0));
}

std::span<const Operator> quantization_operators() { return kRows; }

}  // namespace lathe::ir
