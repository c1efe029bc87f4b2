// Why a node cannot be an integer kernel, whatever its neighbours are.
#pragma once

#include <optional>
#include <string>

#include "passes/ir/graph.h"

namespace lathe::quantize {

// A MatMul whose two inputs are both activations.
bool multiplies_activations(const ir::Node& node);

// nullopt where the value is a constant of finite floats; a reason otherwise.
// `what` it is to the node: "weights", "bias", ….
std::optional<std::string> constant_refusal(const ir::Value* value,
                                            const char* what);

// nullopt for a float value; else a reason.
std::optional<std::string> float_refusal(const ir::Value* value,
                                         const char* what);

// nullopt where an integer kernel exists for the node; a reason for a remark
// otherwise. Looks at the node's own attributes, types and constants.
std::optional<std::string> refusal(const ir::Node& node);

}  // namespace lathe::quantize
