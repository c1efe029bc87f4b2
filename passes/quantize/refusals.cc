// Conditions of ONNX Runtime's integer kernels that a node meets or not by
// itself. Source: onnxruntime's qdq_selectors and the kernels of QLinearConv,
// QGemm, QLinearMatMul and MatMulIntegerToFloat.
#include "passes/quantize/refusals.h"

#include <fmt/format.h>

#include <limits>

#include "passes/quantize/magnitudes.h"
#include "passes/quantize/operator_rules.h"

namespace lathe::quantize {
namespace {

using Reason = std::optional<std::string>;

Reason absent(const char* what) { return fmt::format("it has no {}", what); }

Reason check_conv(const ir::Node& node) {
  if (Reason reason = constant_refusal(node.input(1), "weights")) return reason;
  const ir::Tensor& weights = node.input(1)->tensor();
  if (weights.rank() < 3)
    return fmt::format("its weights have rank {}, expected 3 or more",
                       weights.rank());
  if (!node.input(2)) return std::nullopt;
  if (Reason reason = constant_refusal(node.input(2), "bias")) return reason;
  if (node.input(2)->tensor().size() != weights.dims()[0])
    return fmt::format("its bias has {} elements for {} channels",
                       node.input(2)->tensor().size(), weights.dims()[0]);
  return std::nullopt;
}

Reason check_gemm(const ir::Node& node) {
  if (Reason reason = constant_refusal(node.input(1), "weights")) return reason;
  const ir::Tensor& weights = node.input(1)->tensor();
  if (weights.rank() != 2)
    return fmt::format("its weights have rank {}, expected 2", weights.rank());
  float alpha = node.attr_float("alpha", 1);
  float beta = node.attr_float("beta", 1);
  if (alpha != 1)
    return fmt::format("its alpha is {}; the integer kernel needs 1", alpha);
  if (!node.input(2)) return std::nullopt;
  if (beta != 1)
    return fmt::format("its beta is {}; the integer kernel needs 1", beta);
  if (Reason reason = constant_refusal(node.input(2), "bias")) return reason;
  const ir::Tensor& bias = node.input(2)->tensor();
  int64_t columns = weights.dims()[node.attr_int("transB", 0) ? 0 : 1];
  bool is_row = bias.rank() <= 2 && (bias.rank() < 2 || bias.dims()[0] == 1);
  if (!is_row || (bias.size() != 1 && bias.size() != columns))
    return "its bias varies over rows; the integer kernel adds one value a "
           "column";
  return std::nullopt;
}

Reason check_matmul(const ir::Node& node) {
  if (multiplies_activations(node))
    return float_refusal(node.input(1), "input");
  if (node.input(0) && node.input(0)->has_initializer())
    return "its constant is the left operand; the integer kernel takes int8 "
           "weights on the right only";
  if (Reason reason = constant_refusal(node.input(1), "weights")) return reason;
  if (node.input(1)->tensor().rank() < 2)
    return "its weights have rank 1; a matrix-vector product stays in float";
  return std::nullopt;
}

Reason check_resize(const ir::Node& node) {
  std::string mode = node.attr_string("mode", "nearest");
  if (mode != "nearest" && mode != "linear")
    return fmt::format("its mode is {}", mode);
  if (node.attr_int("antialias", 0)) return "it filters against aliasing";
  if (node.attr_string("coordinate_transformation_mode", "half_pixel") ==
      "tf_crop_and_resize")
    return "it crops and extrapolates";
  return std::nullopt;
}

Reason check_pad(const ir::Node& node) {
  const ir::Value* fill = node.input(2);
  if (!fill) return std::nullopt;
  if (Reason reason = constant_refusal(fill, "fill value")) return reason;
  if (fill->tensor().size() != 1) return "its fill value is no scalar";
  return std::nullopt;
}

Reason check_constant_operands(const ir::Node& node) {
  for (const ir::Value* value : node.inputs()) {
    if (!value || !value->has_initializer()) continue;
    if (Reason reason = constant_refusal(value, "operand")) return reason;
  }
  return std::nullopt;
}

}  // namespace

Reason float_refusal(const ir::Value* value, const char* what) {
  if (!value) return absent(what);
  if (value->type.elem == ir::DataType::kFloat) return std::nullopt;
  if (value->type.elem == ir::DataType::kUndefined)
    return fmt::format("the type of '{}' ({}) is not known", value->name(),
                       what);
  return fmt::format("'{}' ({}) is {}; only float is quantized", value->name(),
                     what, ir::to_string(value->type.elem));
}

Reason constant_refusal(const ir::Value* value, const char* what) {
  if (!value) return absent(what);
  auto is = [&](const std::string& state) -> Reason {
    return fmt::format("'{}' ({}) {}", value->name(), what, state);
  };
  if (!value->has_initializer()) return is("is computed, not constant");
  if (!value->is_constant())
    return is("is a model input that can be overridden at run time");
  const ir::Tensor& tensor = value->tensor();
  if (tensor.type() != ir::DataType::kFloat)
    return is(fmt::format("is {}; only float is quantized",
                          ir::to_string(tensor.type())));
  if (tensor.size() == 0) return is("has no elements");
  if (!all_within(tensor.data<float>(), std::numeric_limits<float>::max()))
    return is("holds NaN or infinity");
  return std::nullopt;
}

bool multiplies_activations(const ir::Node& node) {
  return node.is("MatMul") && node.input(0) && node.input(1) &&
         !node.input(0)->has_initializer() && !node.input(1)->has_initializer();
}

std::optional<std::string> refusal(const ir::Node& node) {
  const OperatorRule* rule = find_rule(node);
  if (!rule)
    return fmt::format("the runtime has no integer kernel for {}",
                       node.op_type);
  if (Reason reason = float_refusal(node.input(0), "input")) return reason;
  if (!node.output(0)) return "its output is absent";
  if (node.is("Conv")) return check_conv(node);
  if (node.is("Gemm")) return check_gemm(node);
  if (node.is("MatMul")) return check_matmul(node);
  if (node.is("Resize")) return check_resize(node);
  if (node.is("Pad")) return check_pad(node);
  if (node.is("MaxPool") && node.output(1))
    return "it also gives back the places of the maxima";
  if ((node.is("Clip") || node.is("Relu")) && !clip_bounds(node))
    return "its bounds are not constant";
  if (rule->all_inputs) return check_constant_operands(node);
  return std::nullopt;
}

}  // namespace lathe::quantize
