// Why a node cannot be an integer kernel, whatever its neighbours are.
#pragma once

#include <optional>
#include <string>

#include "passes/ir/graph.h"

namespace lathe::quantize {

// A MatMul whose two inputs are both activations.
bool multiplies_activations(const ir::Node& node);

// nullopt where an integer kernel exists for the node; a reason for a remark
// otherwise. Looks at the node's own attributes, types and constants.
std::optional<std::string> refusal(const ir::Node& node);

}  // namespace lathe::quantize
