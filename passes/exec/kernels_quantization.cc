// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear, and what training
// puts in the place of the first two. Types of 4 bits are held one an element.
#include "passes/exec/affine_tensors.h"
#include "passes/exec/fake_quantize.h"

namespace lathe::exec {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

ir::DataType type_attribute(const NodeInfo& info, std::string_view name) {
  const int64_t number = info.node.attr_int(name, 0);
  auto type = ir::data_type_from_number(number);
  if (!type)
    info.invalid("attribute '" + std::string(name) + "' is " +
                 std::to_string(number));
  return *type;
}

int64_t block_size_of(const NodeInfo& info) {
  const int64_t size = info.node.attr_int("block_size", 0);
  if (size < 0)
    info.invalid("attribute 'block_size' is " + std::to_string(size));
  return size;
}

Kernel make_quantize(const NodeInfo& info) {
  ir::DataType wanted = type_attribute(info, "output_dtype");
  if (info.node.input(2)) {
    wanted = input_type(info, 2);
    if (wanted == ir::DataType::kUndefined && info.node.output())
      wanted = info.node.output()->type.elem;
  } else if (wanted == ir::DataType::kUndefined) {
    wanted = ir::DataType::kUint8;
  }
  const int64_t axis = info.node.attr_int("axis", 1);
  const int64_t block_size = block_size_of(info);
  if (is_float8(wanted))
    return [=, saturate = info.node.attr_int("saturate", 1) != 0](
               Inputs in, const RunState&) -> Tensors {
      const at::Tensor x = as_real(in[0]);
      const at::Tensor scale = spread(in[1], x, axis, block_size);
      return {
          rounded_to_float8(x / scale.to(x.scalar_type()), wanted, saturate)};
    };
  const CodeType type = code_type(info, wanted);
  return [=](Inputs in, const RunState&) -> Tensors {
    return {quantized(as_real(in[0]), spread(in[1], in[0], axis, block_size),
                      spread(input(in, 2), in[0], axis, block_size), type)};
  };
}

Kernel make_dequantize(const NodeInfo& info) {
  if (ir::DataType type = input_type(info, 0);
      type != ir::DataType::kUndefined && !is_float8(type))
    code_type(info, type);
  const int64_t axis = info.node.attr_int("axis", 1);
  const int64_t block_size = block_size_of(info);
  const ir::DataType wanted = type_attribute(info, "output_dtype");
  c10::optional<at::ScalarType> type;
  if (wanted != ir::DataType::kUndefined) type = scalar_type(wanted);
  return [=](Inputs in, const RunState&) -> Tensors {
    const at::Tensor scale = as_real(spread(in[1], in[0], axis, block_size));
    const at::Tensor values =
        centered(in[0], spread(input(in, 2), in[0], axis, block_size),
                 scale.scalar_type()) *
        scale;
    return {values.to(type.value_or(in[1].scalar_type()))};
  };
}

Kernel make_dynamic_quantize(const NodeInfo& info) {
  const CodeType type = code_type(info, ir::DataType::kUint8);
  return [=](Inputs in, const RunState&) -> Tensors {
    const DynamicScale dynamic = dynamic_scale(in[0]);
    return {quantized(in[0], dynamic.scale, dynamic.zero_point, type),
            dynamic.scale, dynamic.zero_point.to(at::kByte)};
  };
}

// scale and zero point broadcast over x and have its type.
struct FakeQuantize : torch::autograd::Function<FakeQuantize> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const at::Tensor& scale, const at::Tensor& zero,
                            double low, double high) {
    ctx->save_for_backward({x, scale, zero});
    ctx->saved_data["low"] = low;
    ctx->saved_data["high"] = high;
    return ((at::round(x / scale) + zero).clamp(low, high) - zero) * scale;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &scale = saved[1], &zero = saved[2];
    const double low = ctx->saved_data["low"].toDouble();
    const double high = ctx->saved_data["high"].toDouble();
    const at::Tensor& grad = grads[0];
    const at::Tensor ratio = x / scale;
    const at::Tensor code = at::round(ratio) + zero;
    const at::Tensor inside = (code >= low).logical_and(code <= high);
    at::Tensor to_x, to_scale;
    if (ctx->needs_input_grad(0)) to_x = grad * inside;
    if (ctx->needs_input_grad(1)) {
      const at::Tensor slope = code.clamp(low, high) - zero - ratio * inside;
      to_scale = at::sum_to(grad * slope, scale.sizes());
    }
    return {to_x, to_scale, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

constexpr OperatorRow kRows[] = {
    {"QuantizeLinear", make_quantize},
    {"DequantizeLinear", make_dequantize},
    {"DynamicQuantizeLinear", make_dynamic_quantize},
    {"QuantizeLinear", make_quantize, "com.microsoft"},
    {"DequantizeLinear", make_dequantize, "com.microsoft"},
};

}  // namespace

at::Tensor fake_quantize(const at::Tensor& x, const at::Tensor& scale,
                         const at::Tensor& zero_point, int64_t axis, double low,
                         double high, int64_t block_size) {
  const at::Tensor values = as_real(x);
  const at::Tensor steps =
      spread(scale, x, axis, block_size).to(values.scalar_type());
  at::Tensor zero = spread(zero_point, x, axis, block_size);
  zero = zero.defined() ? zero.to(values.scalar_type())
                        : at::zeros({}, values.options());
  return FakeQuantize::apply(values, steps, zero, low, high)
      .to(x.scalar_type());
}

std::span<const OperatorRow> quantization_rows() { return kRows; }

}  // namespace lathe::exec
