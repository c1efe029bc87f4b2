#include "passes/exec/quantization_pairs.h"

#include <algorithm>

namespace lathe::exec {
namespace {

bool same_constant(const ir::Value* a, const ir::Value* b) {
  if (a == b) return true;
  return a && b && a->is_constant() && b->is_constant() &&
         a->tensor().identical(b->tensor());
}

bool has_codes(ir::DataType type) {
  const int bits = ir::bits_per_element(type);
  return ir::is_integer(type) && bits >= 4 && bits <= 16;
}

// In the same graph.
const ir::Node* source_of(const ir::Node& node) {
  const ir::Node* source = node.input(0) ? node.input(0)->producer() : nullptr;
  return source && &source->graph() == &node.graph() ? source : nullptr;
}

bool narrow(const ir::Value* bound, int32_t& limit, bool from_below) {
  if (!bound) return true;
  if (!bound->is_constant() || bound->tensor().size() != 1 ||
      !ir::is_integer(bound->type.elem))
    return false;
  const auto code = static_cast<int32_t>(bound->tensor().to_int64s()[0]);
  limit = from_below ? std::max(limit, code) : std::min(limit, code);
  return true;
}

bool is_undone_by(const ir::Node& dequantize, const ir::Node& quantize) {
  return same_constant(dequantize.input(1), quantize.input(1)) &&
         same_constant(dequantize.input(2), quantize.input(2)) &&
         dequantize.attr_int("axis", 1) == quantize.attr_int("axis", 1) &&
         dequantize.attr_int("block_size", 0) ==
             quantize.attr_int("block_size", 0);
}

bool all_turn_back(const ir::Value& codes, const ir::Node& quantize) {
  if (codes.is_graph_output() || codes.unused()) return false;
  return std::ranges::all_of(codes.uses(), [&](const ir::Use& use) {
    if (use.index != 0 || &use.node->graph() != &quantize.graph()) return false;
    if (use.node->is("Clip") && source_of(*use.node) == &quantize)
      return all_turn_back(*use.node->output(), quantize);
    const auto pair = undone_quantization(*use.node);
    return pair && pair->quantize == &quantize;
  });
}

}  // namespace

std::optional<QuantizationPair> undone_quantization(
    const ir::Node& dequantize) {
  if (dequantize.op_type != "DequantizeLinear" || !dequantize.input(0) ||
      !has_codes(dequantize.input(0)->type.elem))
    return std::nullopt;
  QuantizationPair pair{source_of(dequantize),
                        code_range(dequantize.input(0)->type.elem)};
  if (pair.quantize && pair.quantize->is("Clip")) {
    const ir::Node& clip = *pair.quantize;
    if (!narrow(clip.input(1), pair.codes.low, /*from_below=*/true) ||
        !narrow(clip.input(2), pair.codes.high, /*from_below=*/false))
      return std::nullopt;
    pair.quantize = source_of(clip);
  }
  if (!pair.quantize || pair.quantize->op_type != "QuantizeLinear" ||
      !is_undone_by(dequantize, *pair.quantize))
    return std::nullopt;
  // Another type than the scale's is left to the two kernels.
  const ir::Value* real = pair.quantize->input(0);
  if (dequantize.has_attribute("output_dtype") || !real ||
      !ir::is_floating(real->type.elem))
    return std::nullopt;
  return pair;
}

bool is_only_undone(const ir::Node& node) {
  const ir::Node* quantize = node.is("Clip") ? source_of(node) : &node;
  return quantize && quantize->op_type == "QuantizeLinear" && node.output() &&
         all_turn_back(*node.output(), *quantize);
}

}  // namespace lathe::exec
