// Which value of a changed model stands for which of the model it was made
// from.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "calibration/accuracy/layer_values.h"
#include "passes/ir/graph.h"

namespace lathe::accuracy {

// One floating-point result of the reference's top-level graph.
struct LayerPair {
  // Node::id(); of a node's further outputs the value's name. For a graph
  // input, which is a layer where the other model quantizes it: its name.
  std::string name;
  std::string operator_type;  // "Conv"; "Input" for a graph input
  std::string value;          // in the reference
  bool typed = true;          // the reference says that it is floating-point
  // In the other model; empty: none was found. The real numbers themselves, or
  // codes of `quantizer`.
  std::string other;
  bool codes = false;
  std::optional<Quantizer> quantizer;  // that the other model rounds it with
  std::vector<size_t> inputs;          // the layers it reads; all before it

  bool matched() const { return !other.empty(); }
};

// Every layer of `reference`, in execution order. Where the types of values
// are known (ir::infer_shapes), shapes must agree, but for dimensions of 1.
//
// In this order: values of the same name, also as quantizers extend it; nodes
// of the same name; graph outputs in the same place, where no name is shared;
// and, from what is matched so far, forwards and backwards, nodes of the same
// operator between matched values, where only one fits. What was folded into
// the node before it (BatchNormalization into Conv) is matched with that
// node's result, which then stands for nothing else.
std::vector<LayerPair> match_layers(const ir::Model& reference,
                                    const ir::Model& other);

}  // namespace lathe::accuracy
