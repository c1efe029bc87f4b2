// Pieces of graphs that emitters of several families write.
#pragma once

#include <cstdint>
#include <vector>

#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {

// For operators that are found in training mode.
inline constexpr const char* kEvalHint =
    "call eval() on the model before it is traced or exported";

// The type that the runtime multiplies and adds elements of `type` in: int32
// for bool and integers of 8 and 16 bits, else the type itself.
ir::DataType arithmetic_type(ir::DataType type);

// The smallest finite number of a floating type.
double lowest_of(ir::DataType type);

// a·b as numpy.matmul defines it, for every pair of ranks from 1 on.
ir::Value* matmul(OnnxBuilder& builder, ir::Value* a, ir::Value* b);

// x·weightᵀ + bias. The weight is [out, in] or [in]; the bias may be null.
ir::Value* linear(OnnxBuilder& builder, ir::Value* x, ir::Value* weight,
                  ir::Value* bias);

// The last two axes in exchanged places. Fails below rank 2.
ir::Value* swap_last_axes(OnnxBuilder& builder, ir::Value* x);

// A tensor of these sizes (ints, constant or computed) with one value.
ir::Value* filled(OnnxBuilder& builder, ir::DataType type,
                  const std::vector<Argument>& sizes, double value);

// Layer normalization over the last axes, of these sizes (ints, constant or
// computed). Weight and bias may be null.
ir::Value* layer_norm(OnnxBuilder& builder, ir::Value* x,
                      const std::vector<Argument>& sizes, ir::Value* weight,
                      ir::Value* bias, double eps);

}  // namespace lathe::io::aten
