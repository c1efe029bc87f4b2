// What ONNX Runtime's CPU provider does with an operator between
// DequantizeLinear and QuantizeLinear: the one list of operators that
// quantize_static touches. Source: onnxruntime's qdq_transformer selectors,
// checked against the optimized graphs of version 1.30 (docs/quantize.md).
#pragma once

#include <optional>
#include <vector>

#include "passes/affine.h"
#include "passes/ir/graph.h"

namespace lathe::quantize {

enum class Role {
  kCompute,     // constant weights times activations
  kArithmetic,  // an integer kernel with output parameters of its own
  kMovement,  // the runtime drops the Q/DQ: input and outputs share parameters
  kCodes,     // no rule of the runtime; rewritten to work on the codes
  // Disappears into the node before it: Relu, Clip, and the Add of a bias that
  // the runtime merges into a MatMul.
  kFused,
};

struct OperatorRule {
  const char* name;  // in ai.onnx
  Role role;
  // Every input is data; else only the first.
  bool all_inputs = false;
  // Worth it only where an integer kernel reads the result.
  bool needs_reader = false;
  std::optional<Range> fixed_range = std::nullopt;  // of the output
};

// Null for operators that stay in float.
const OperatorRule* find_rule(const ir::Node& node);

// Which inputs carry quantized activations when the node plays `role`.
std::vector<size_t> data_inputs(const ir::Node& node, Role role);

// The bounds of a Relu or Clip, infinite where open; nullopt when a bound is
// not a constant.
std::optional<Range> clip_bounds(const ir::Node& node);

}  // namespace lathe::quantize
