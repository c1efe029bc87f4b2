// Emitters of ATen operators, checked against LibTorch's own operator.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "passes/io/torch/aten/aten_call.h"
#include "passes/io/torch/aten/tracer.h"
#include "tests/passes/io/torch/doctest_with_torch.h"

namespace lathe::test {

struct AtenTolerance {
  double absolute = 1e-5, relative = 1e-5;
};

// Calls the operator ("aten::conv2d", "aten::add.Tensor") in LibTorch on `args`
// (in the schema's order; trailing ones may be left out), and in ONNX Runtime
// as the emitter writes it: once with every input's shape static, once with
// every dimension symbolic (skipped where `symbolic` is false, for operators
// that need sizes). Every tensor argument becomes a graph input. Checks element
// types, shapes and elements of every output. Reports through doctest.
void same_as_torch(const std::string& op, std::vector<c10::IValue> args,
                   bool symbolic = true, const AtenTolerance& tolerance = {});

// The message of the error that the emitter throws on these arguments.
std::string emit_error(const std::string& op, std::vector<c10::IValue> args,
                       bool symbolic = false);

// The types of the nodes that the emitter adds, in order, with static shapes:
// "Conv", "Relu", …
std::vector<std::string> emitted_nodes(const std::string& op,
                                       std::vector<c10::IValue> args);

}  // namespace lathe::test
