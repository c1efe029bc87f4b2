// Operators of PyTorch's "prims" namespace, written as ATen operators.
#pragma once

#include <string>

#include "passes/io/torch/aten/onnx_builder.h"
#include "passes/io/torch/aten/tracer.h"

namespace lathe::io::exported {

struct AtenCallText {
  std::string name, overload;
  aten::NamedArguments arguments;
};

// The ATen call that prims::`name` stands for. Most have the same name and
// arguments.
AtenCallText as_aten(const std::string& name, aten::NamedArguments arguments,
                     aten::OnnxBuilder& builder, aten::Tracer& tracer);

}  // namespace lathe::io::exported
