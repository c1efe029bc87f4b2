// Integer operators of com.microsoft, into which ONNX Runtime fuses QDQ
// groups. A QLinear operator's flops are its float form's, plus 4 an element
// to leave and re-enter the integers.
#include "passes/ir/op_attention.h"
#include "passes/ir/op_families.h"
#include "passes/ir/op_matmul.h"
#include "passes/ir/op_quantization.h"
#include "passes/ir/op_recurrent.h"
#include "passes/ir/op_window.h"

namespace lathe::ir {
namespace {

constexpr const char* kMs = "com.microsoft";
constexpr const char* kNhwc = "com.ms.internal.nhwc";

bool channels_last(const InferContext& ctx) {
  return ctx.node().domain == kNhwc ||
         ctx.node().attr_int("channels_last", 0) != 0;
}

DataType first_known(DataType a, DataType b) {
  return a != DataType::kUndefined ? a : b;
}

// A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point.
void infer_qlinear_binary(InferContext& ctx) {
  ctx.set(0, ctx.elem(0), broadcast_inputs(ctx, {0, 3}));
}

// condition, X, X_scale, X_zero_point, Y, …
void infer_qlinear_where(InferContext& ctx) {
  ctx.set(0, ctx.elem(1), broadcast_inputs(ctx, {0, 1, 4}));
}

// Y_scale, Y_zero_point, then (tensor, scale, zero point) an input.
void infer_qlinear_concat(InferContext& ctx) {
  ctx.set(0, first_known(ctx.elem(2), ctx.elem(1)));
  int64_t wanted = required_int(ctx, "axis");
  std::optional<Shape> out;
  for (size_t i = 2; i < ctx.input_count(); i += 3) {
    const Shape* shape = ctx.shape(i);
    if (!shape) return;
    if (!out) {
      out = *shape;
      continue;
    }
    if (out->size() != shape->size())
      ctx.fail("inputs have ranks " + std::to_string(out->size()) + " and " +
               std::to_string(shape->size()));
    size_t axis = static_cast<size_t>(
        normalize_axis(ctx, wanted, static_cast<int64_t>(shape->size())));
    for (size_t d = 0; d < shape->size(); ++d) {
      Dim &sum = (*out)[d], next = (*shape)[d];
      if (d != axis)
        sum = unify(ctx, sum, next,
                    "inputs differ off the concat axis; dimensions " +
                        std::to_string(d));
      else
        sum = sum.known() && next.known()
                  ? Dim(checked_add(ctx, sum.value, next.value))
                  : Dim();
    }
  }
  ctx.set(0, DataType::kUndefined, out);
}

void infer_qlinear_pool(InferContext& ctx) {
  infer_pool_as(ctx, channels_last(ctx));
}

void infer_qlinear_global_pool(InferContext& ctx) {
  infer_global_pool_as(ctx, channels_last(ctx));
}

void infer_qlinear_conv(InferContext& ctx) {
  infer_conv_as(ctx, 0, 3, first_known(ctx.elem(7), ctx.elem(0)),
                channels_last(ctx));
}

Cost qlinear_conv_cost(const Node& node) {
  Cost cost = conv_cost_with_weight(node, 3);
  cost.flops = plus(cost.flops, times(elements(node.output(0)), 3));
  return cost;
}

// A, a_scale, a_zero_point, B, b_scale, b_zero_point, C, y_scale,
// y_zero_point; without the last two the output is float.
void infer_qgemm(InferContext& ctx) {
  DataType elem = ctx.has_input(8)   ? ctx.elem(8)
                  : ctx.has_input(7) ? ctx.elem(0)
                                     : DataType::kFloat;
  infer_gemm_as(ctx, 0, 3, elem);
}

void infer_integer_to_float(InferContext& ctx) {
  infer_matmul_as(ctx, 0, 1, first_known(ctx.elem(2), DataType::kFloat));
}

void infer_dynamic_quantize_matmul(InferContext& ctx) {
  infer_matmul_as(ctx, 0, 1, ctx.elem(0));
}

void infer_matmul_integer16(InferContext& ctx) {
  infer_matmul_as(ctx, 0, 1, DataType::kInt32);
}

// X [sequence, batch, in]; the weights' axes differ from LSTM's, so the size
// comes from the attribute.
void infer_dynamic_quantize_lstm(InferContext& ctx) {
  int64_t size = required_int(ctx, "hidden_size");
  if (size <= 0) ctx.fail("attribute 'hidden_size' is " + std::to_string(size));
  bool both = ctx.node().attr_string("direction", "forward") == "bidirectional";
  Dim directions(both ? 2 : 1), hidden(size);
  Dim sequence = ctx.dim(0, 0), batch = ctx.dim(0, 1);
  ctx.set(0, ctx.elem(0), Shape{sequence, directions, batch, hidden});
  ctx.set(1, ctx.elem(0), Shape{directions, batch, hidden});
  ctx.set(2, ctx.elem(0), Shape{directions, batch, hidden});
}

// input [batch, sequence, in], weight [in, 3 * hidden]; output in the type of
// the scales.
void infer_qattention(InferContext& ctx) {
  Dim width = ctx.dim(1, 1);
  ctx.set(0, ctx.elem(3),
          Shape{ctx.dim(0, 0), ctx.dim(0, 1),
                width.known() ? divided(ctx, width, 3) : Dim()});
}

// data, axes, keepdims in attributes; scales beside.
void infer_qlinear_reduce_mean(InferContext& ctx) {
  ctx.set(0, ctx.elem(0));
  auto shape = ctx.shape_copy(0);
  if (!shape) return;
  bool keep = ctx.node().attr_int("keepdims", 1) != 0;
  int64_t rank = static_cast<int64_t>(shape->size());
  std::vector<int64_t> axes =
      normalize_axes(ctx, ctx.node().attr_ints("axes"), rank);
  std::vector<bool> reduced(shape->size(), axes.empty());
  for (int64_t axis : axes) reduced[static_cast<size_t>(axis)] = true;
  Shape out;
  for (size_t i = 0; i < shape->size(); ++i) {
    if (!reduced[i])
      out.push_back((*shape)[i]);
    else if (keep)
      out.push_back(Dim(1));
  }
  ctx.set(0, ctx.elem(0), out);
}

constexpr Operator row(const char* name, OpClass op_class, int min_inputs,
                       int max_inputs, void (*infer)(InferContext&),
                       Cost (*cost)(const Node&), const char* domain = kMs) {
  return {name, domain, op_class, min_inputs, max_inputs, 1, 1, infer, cost};
}

constexpr auto kCompute = OpClass::kCompute;
constexpr auto kElementwise = OpClass::kElementwise;
constexpr auto kPooling = OpClass::kPooling;

constexpr Operator kRows[] = {
    {"QuantizeLinear", kMs, OpClass::kQuantization, 2, 3, 1, 1, infer_quantize,
     cost_per_output<4>},
    {"DequantizeLinear", kMs, OpClass::kQuantization, 2, 3, 1, 1,
     infer_dequantize, cost_per_output<2>},
    row("QLinearAdd", kElementwise, 7, 8, infer_qlinear_binary,
        cost_per_output<5>),
    row("QLinearMul", kElementwise, 7, 8, infer_qlinear_binary,
        cost_per_output<5>),
    row("QLinearWhere", kElementwise, 9, 9, infer_qlinear_where,
        cost_per_output<4>),
    row("QLinearSigmoid", kElementwise, 4, 5, infer_same, cost_per_output<8>),
    row("QLinearLeakyRelu", kElementwise, 4, 5, infer_same, cost_per_output<6>),
    row("QLinearSoftmax", OpClass::kNormalization, 5, 5, infer_same,
        cost_per_output<9>),
    row("QLinearConcat", OpClass::kDataMovement, 3, -1, infer_qlinear_concat,
        cost_per_output<4>),
    row("QLinearAveragePool", kPooling, 4, 5, infer_qlinear_pool, pool_cost),
    row("QLinearGlobalAveragePool", kPooling, 4, 5, infer_qlinear_global_pool,
        cost_per_input<1>),
    row("QLinearReduceMean", OpClass::kReduction, 4, 5,
        infer_qlinear_reduce_mean, cost_per_input<1>),
    row("QLinearConv", kCompute, 8, 9, infer_qlinear_conv, qlinear_conv_cost),
    row("QGemm", kCompute, 6, 9, infer_qgemm, gemm_cost),
    row("MatMulIntegerToFloat", kCompute, 4, 7, infer_integer_to_float,
        matmul_cost),
    row("DynamicQuantizeMatMul", kCompute, 3, 5, infer_dynamic_quantize_matmul,
        matmul_cost),
    row("MatMulInteger16", kCompute, 2, 2, infer_matmul_integer16, matmul_cost),
    {"DynamicQuantizeLSTM", kMs, OpClass::kRecurrent, 12, 12, 0, 3,
     infer_dynamic_quantize_lstm,
     [](const Node& node) { return recurrent_cost(node, 4); }},
    {"QAttention", kMs, kCompute, 5, 9, 1, 2, infer_qattention,
     ms_attention_cost},
    row("QLinearConv", kCompute, 8, 9, infer_qlinear_conv, qlinear_conv_cost,
        kNhwc),
    row("QLinearAveragePool", kPooling, 4, 5, infer_qlinear_pool, pool_cost,
        kNhwc),
    row("QLinearGlobalAveragePool", kPooling, 4, 5, infer_qlinear_global_pool,
        cost_per_input<1>, kNhwc),
    {"MaxPool", kNhwc, kPooling, 1, 1, 1, 2,
     [](InferContext& ctx) { infer_pool_as(ctx, /*channels_last=*/true); },
     pool_cost},
};

}  // namespace

std::span<const Operator> contrib_quantization_operators() { return kRows; }

}  // namespace lathe::ir
