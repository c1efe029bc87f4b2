// How a node takes in the factors of channels that it computes or reads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "passes/quantize/channel_groups.h"

namespace lathe::quantize {

struct Absorption {
  std::vector<ScaleSite> sites;  // the weights, or the scale, first
  bool is_product = false;       // Conv, ConvTranspose, Gemm or MatMul
  std::string refusal;           // why not; "" where it can
};

// What output 0 takes 1/s in: nullopt for operators that cannot.
std::optional<Absorption> absorbed_by_producer(ir::Node& node,
                                               const ChannelAxis& at);

// What takes s in when input `input` is scaled by 1/s: nullopt likewise.
std::optional<Absorption> absorbed_by_reader(ir::Node& node, size_t input,
                                             const ChannelAxis& at);

// The constant operand `input` of a sum or a concatenation, whose channels lie
// at `at` (counted in output 0) and take 1/s; a reason where it cannot.
Absorption absorbed_by_operand(ir::Node& node, size_t input,
                               const ChannelAxis& at);

}  // namespace lathe::quantize
