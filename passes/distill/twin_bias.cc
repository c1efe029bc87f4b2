// Whose int32 bias it is.
#include <cmath>
#include <vector>

#include "passes/base/error.h"
#include "passes/distill/twin_parts.h"

namespace lathe::distill {
namespace {

bool is_layer_with_bias(const ir::Node& node) {
  return node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm");
}

// The layer whose sum the bias enters.
const ir::Node* layer_of(const ir::Use& bias) {
  if (is_layer_with_bias(*bias.node)) return bias.node;
  if (!bias.node->is("Add")) return nullptr;
  const ir::Value* other = bias.node->input(1 - bias.index);
  return other ? other->producer() : nullptr;
}

const ir::Value* scale_of(const ir::Value* operand) {
  const ir::Node* node = operand ? operand->producer() : nullptr;
  return node && is_dequantize(*node) && node->input(1)->has_initializer()
             ? node->input(1)
             : nullptr;
}

// Whether the bias has the scale input scale * weight scale.
bool is_product(const ir::Tensor& scale, const ir::Value& input,
                const ir::Value& weights) {
  constexpr double kRounding = 1e-5;
  const std::vector<double> found = scale.to_doubles(),
                            step = input.tensor().to_doubles(),
                            steps = weights.tensor().to_doubles();
  if (step.size() != 1 || (steps.size() != found.size() && steps.size() != 1))
    return false;
  for (size_t i = 0; i < found.size(); ++i) {
    const double product = step[0] * steps[steps.size() == 1 ? 0 : i];
    if (!(std::fabs(found[i] - product) <= kRounding * std::fabs(product)))
      return false;
  }
  return true;
}

}  // namespace

TwinBias read_bias(const ir::Value& codes, const ir::Node& dequantize,
                   const std::vector<ir::Use>& uses) {
  TwinBias bias;
  bias.codes = codes.name();
  bias.scale = dequantize.input(1)->name();
  for (const ir::Use& use : uses) {
    const ir::Node* layer = layer_of(use);
    const ir::Value* input = layer ? scale_of(layer->input(0)) : nullptr;
    const ir::Value* weights = layer ? scale_of(layer->input(1)) : nullptr;
    if (!input || !weights ||
        !is_product(dequantize.input(1)->tensor(), *input, *weights))
      continue;
    if (!bias.input_scale.empty() && (bias.input_scale != input->name() ||
                                      bias.weight_scale != weights->name()))
      throw_unsupported(
          layer->label(),
          "its int32 bias '" + codes.name() +
              "' is also that of a layer with other scales, which training "
              "would move apart",
          "give each layer a bias of its own");
    bias.input_scale = input->name();
    bias.weight_scale = weights->name();
  }
  return bias;
}

}  // namespace lathe::distill
