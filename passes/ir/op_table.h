// The operator table: one row an operator, and everything that the importers,
// shape inference, the passes and the estimator know about it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::ir {

struct AxisRule;     // passes/ir/axis_links.h
class InferContext;  // passes/ir/infer_context.h

// Work of one node. macs: multiply-accumulates of Conv, Gemm, MatMul and the
// like (0 for others); flops: all arithmetic, a MAC counting 2; bytes: inputs
// read once plus outputs written once.
struct Cost {
  int64_t macs = 0;
  int64_t flops = 0;
  int64_t bytes = 0;
};

// What an operator computes, as far as passes ask.
enum class OpClass {
  kCompute,      // Conv, Gemm, MatMul, …: weights times activations
  kElementwise,  // unary and broadcasting arithmetic, activations
  kNormalization,
  kReduction,
  kPooling,
  kDataMovement,  // Reshape, Transpose, Concat, Slice, Gather, …
  kQuantization,  // QuantizeLinear, DequantizeLinear, …
  kRecurrent,
  kControlFlow,
  kShape,  // Shape, Size, Constant, …
  kOther,
};

struct Operator {
  const char* name;
  const char* domain;  // "" is ai.onnx
  OpClass op_class;
  int min_inputs, max_inputs;    // max -1: variadic
  int min_outputs, max_outputs;  // max -1: variadic
  // Sets the types of the node's outputs as far as they follow from its
  // inputs; null: nothing follows.
  void (*infer)(InferContext&);
  // Null: no arithmetic (bytes only). Called with static shapes only.
  Cost (*cost)(const Node&);
  // Same inputs give the same outputs, with no state and no randomness.
  bool deterministic = true;
  // Which positions along the axes of its inputs and outputs belong together;
  // null: what the class says (element-wise operators and pooling), else they
  // cannot be followed.
  const AxisRule* axes = nullptr;
};

// Null when the operator is not in the table.
const Operator* find_operator(std::string_view domain, std::string_view name);
const Operator* find_operator(const Node& node);
std::span<const Operator> all_operators();

// nullopt when a shape is not static.
std::optional<Cost> node_cost(const Node& node);
// Over the top-level graph and subgraphs; nullopt when a compute node's shape
// is not static. Of an If, the costlier branch whose shapes are static; a Loop
// or Scan body counts once.
std::optional<int64_t> total_macs(const Model& model);
// Elements of floating-point initializers and Constant nodes of rank one and
// more, of quantized weights (integer initializers behind DequantizeLinear)
// and of QLinear weights, subgraphs included.
int64_t count_parameters(const Model& model);

}  // namespace lathe::ir
