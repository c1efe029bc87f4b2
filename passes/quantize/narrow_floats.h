// Floats in two bytes.
#pragma once

#include "passes/ir/tensor.h"

namespace lathe::quantize {

// A float tensor as float16 or bfloat16, rounded to nearest even.
ir::Tensor narrowed(const ir::Tensor& tensor, ir::DataType type);

}  // namespace lathe::quantize
