// QuantizeLinear and the DequantizeLinear that undoes it: what runs, and
// trains, as one fake quantization.
#pragma once

#include <optional>

#include "passes/affine.h"
#include "passes/ir/graph.h"

namespace lathe::exec {

struct QuantizationPair {
  const ir::Node* quantize = nullptr;
  CodeRange codes;  // of the type, or what a Clip between the two leaves of it
};

// The QuantizeLinear in front of a DequantizeLinear, with the same scale, zero
// point, axis and blocks, a Clip of the codes by constants between the two or
// not; nullopt: there is none, or other types than codes of 4 to 16 bits.
std::optional<QuantizationPair> undone_quantization(const ir::Node& dequantize);

// A QuantizeLinear, or such a Clip, whose codes nobody reads but nodes that
// turn them back.
bool is_only_undone(const ir::Node& node);

}  // namespace lathe::exec
