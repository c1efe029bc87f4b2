// What operators do with half precision: the one list of those that float16
// converts. Source: the type constraints of ONNX's operators at opset 17 and
// more, checked by loading each in ONNX Runtime 1.30.
#pragma once

#include <cstddef>
#include <span>

#include "passes/ir/graph.h"

namespace lathe::quantize {

struct HalfRule {
  const char* name;  // in ai.onnx
  // Why it stays in float although it could be half; null: it does not.
  const char* fragile = nullptr;
  // Inputs that are float beside half ones; -1: none.
  int float_inputs[2] = {-1, -1};

  bool keeps_float(size_t input) const {
    return static_cast<int>(input) == float_inputs[0] ||
           static_cast<int>(input) == float_inputs[1];
  }
};

// Null for operators without a half form.
const HalfRule* find_half_rule(const ir::Node& node);
std::span<const HalfRule> half_rules();

// Reads whatever floating type is there and gives back something else.
bool reads_any_float(const ir::Node& node);

}  // namespace lathe::quantize
