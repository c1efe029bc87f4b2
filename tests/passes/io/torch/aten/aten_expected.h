// Emitters of operators that are newer than the linked LibTorch: the test says
// what they give.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/passes/io/torch/aten/aten_fixture.h"

namespace lathe::test {

using Ints = std::vector<int64_t>;
using Names = std::vector<std::string>;
inline const c10::IValue kNone;

// Normal values, other ones at each call.
at::Tensor random(const Ints& sizes);

// A tensor's type.
ir::ValueType tensor_type(ir::DataType elem, ir::Shape shape);

using NamedValues = std::vector<std::pair<std::string, c10::IValue>>;

// Emits the operator on arguments by name, runs it in ONNX Runtime with static
// and with symbolic shapes, and compares the results with `expected`; those
// that are undefined tensors must be none. Tensors are float, int64 or bool.
void gives(const std::string& name, const NamedValues& args,
           const std::vector<at::Tensor>& expected, bool symbolic = true,
           double tolerance = 1e-5);

// The message of the error that the emitter throws on these arguments.
std::string emit_error_of(const std::string& name, const NamedValues& args);

}  // namespace lathe::test
