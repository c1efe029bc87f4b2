// Why a compute node cannot be quantized dynamically.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "passes/ir/graph.h"

namespace lathe::quantize {

// nullopt for MatMul, Gemm and LSTM that can; a reason for a remark otherwise.
std::optional<std::string> dynamic_refusal(const ir::Node& node);

// Of a node that can: elements of its weights.
int64_t weight_elements(const ir::Node& node);

}  // namespace lathe::quantize
