// How a graph's values hang together through QuantizeLinear (Q),
// DequantizeLinear (DQ) and Cast. Internal.
#pragma once

#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "passes/affine.h"
#include "passes/ir/graph.h"

namespace lathe::accuracy {

// One scale and zero point for a whole tensor; a type of code_range().
struct Quantizer {
  Affine affine;
  ir::DataType type = ir::DataType::kUint8;
};

// Whether tensors of this type can be compared: float, double, half, bfloat16.
bool is_comparable(ir::DataType type);

// Where a value's real numbers can be read.
struct Carrier {
  const ir::Value* value = nullptr;
  bool codes = false;  // the value holds codes of `quantizer`
  std::optional<Quantizer> quantizer;
};

// Of a graph whose nodes are in order; it must not change meanwhile.
class ValueIndex {
 public:
  explicit ValueIndex(const ir::Graph& graph);

  // Follows from initializers alone.
  bool is_constant(const ir::Value* value) const {
    return constants_.count(value) > 0;
  }
  // Indices of the inputs that are not constant.
  std::vector<size_t> data_inputs(const ir::Node& node) const;
  // The value before all of Q, DQ, Cast, Identity and Dropout.
  const ir::Value* root(const ir::Value* value) const;
  // Nodes, not Q and the like, that read a value of this root.
  const std::vector<ir::Use>& readers(const ir::Value* root) const;
  // The DQ behind the value's Q; else the value itself, where it is real;
  // else its codes, where scale and zero point are constants. nullopt: none.
  std::optional<Carrier> carrier(const ir::Value* value) const;

 private:
  std::unordered_set<const ir::Value*> constants_;
  std::unordered_map<const ir::Value*, std::vector<ir::Use>> readers_;
};

// Whether the node passes its first input on as it is, but for rounding.
bool is_transparent(const ir::Node& node);

}  // namespace lathe::accuracy
