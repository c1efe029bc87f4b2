// The rows of the operator table, one list a family; op_table.cc joins them.
#pragma once

#include <span>

#include "passes/ir/op_table.h"

namespace lathe::ir {

std::span<const Operator> elementwise_operators();
std::span<const Operator> conv_operators();
std::span<const Operator> pool_operators();
std::span<const Operator> matmul_operators();
std::span<const Operator> normalization_operators();
std::span<const Operator> reduction_operators();
std::span<const Operator> constant_operators();
std::span<const Operator> reshape_operators();
std::span<const Operator> slice_operators();
std::span<const Operator> gather_operators();
std::span<const Operator> resize_operators();
std::span<const Operator> vision_operators();
std::span<const Operator> recurrent_operators();
std::span<const Operator> control_flow_operators();
std::span<const Operator> quantization_operators();
std::span<const Operator> random_operators();
std::span<const Operator> sequence_operators();
std::span<const Operator> signal_operators();
std::span<const Operator> attention_operators();
std::span<const Operator> loss_operators();
std::span<const Operator> contrib_operators();
std::span<const Operator> contrib_quantization_operators();

}  // namespace lathe::ir
