// Writing rows of a tensor, shared by the emitters of scatter and slicing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "passes/io/torch/aten/onnx_builder.h"

namespace lathe::io::aten {

// `self` with its rows at `positions` (1-D int64) of an axis replaced by
// `source`, which has one row a position along the same axis; `reduction`:
// "none", "add" or "mul".
ir::Value* scatter_rows(OnnxBuilder& builder, ir::Value* self, int64_t axis,
                        ir::Value* positions, ir::Value* source,
                        const std::string& reduction);

// ONNX's ScatterND, in a type that ONNX Runtime can reduce in.
ir::Value* scatter_nd(OnnxBuilder& builder, ir::Value* data,
                      ir::Value* positions, ir::Value* updates,
                      const std::string& reduction);

// The permutation that undoes `order`.
std::vector<int64_t> inverse_order(const std::vector<int64_t>& order);

}  // namespace lathe::io::aten
