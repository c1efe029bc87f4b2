#include "passes/quantize/dynamic_refusals.h"

#include <fmt/format.h>

#include "passes/quantize/refusals.h"

namespace lathe::quantize {
namespace {

using Reason = std::optional<std::string>;

Reason matmul_refusal(const ir::Node& node) {
  if (multiplies_activations(node)) return "both of its operands are computed";
  return refusal(node);
}

Reason gemm_refusal(const ir::Node& node) {
  if (Reason reason = float_refusal(node.input(0), "input")) return reason;
  if (node.attr_int("transA", 0)) return "it transposes its input";
  if (Reason reason = constant_refusal(node.input(1), "weights")) return reason;
  if (node.input(1)->tensor().rank() != 2)
    return fmt::format("its weights have rank {}, expected 2",
                       node.input(1)->tensor().rank());
  const ir::Value* bias = node.input(2);
  const float beta = node.attr_float("beta", 1);
  if (bias && !bias->is_constant() && beta != 1)
    return fmt::format("its bias is computed and its beta is {}, not 1", beta);
  return bias ? float_refusal(bias, "bias") : std::nullopt;
}

Reason lstm_refusal(const ir::Node& node) {
  if (Reason reason = float_refusal(node.input(0), "input")) return reason;
  if (node.attr_int("layout", 0))
    return "its layout is batch first, which the dynamic kernel does not take";
  for (size_t i : {1, 2}) {
    const char* what = i == 1 ? "weights" : "recurrence weights";
    if (Reason reason = constant_refusal(node.input(i), what)) return reason;
    if (node.input(i)->tensor().rank() != 3)
      return fmt::format("its {} have rank {}, expected 3", what,
                         node.input(i)->tensor().rank());
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> dynamic_refusal(const ir::Node& node) {
  if (!node.output() && !node.is("LSTM")) return "its output is absent";
  if (node.is("MatMul")) return matmul_refusal(node);
  if (node.is("Gemm")) return gemm_refusal(node);
  if (node.is("LSTM")) return lstm_refusal(node);
  if (node.is("Conv"))
    return "the dynamic form of Conv is slower than Conv; quantize_static "
           "makes an integer kernel of it";
  return fmt::format("the runtime has no dynamic integer kernel for {}",
                     node.op_type);
}

int64_t weight_elements(const ir::Node& node) {
  int64_t elements = node.input(1)->tensor().size();
  return node.is("LSTM") ? elements + node.input(2)->tensor().size() : elements;
}

}  // namespace lathe::quantize
