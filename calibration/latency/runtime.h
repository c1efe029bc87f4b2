// What the files of this folder share of ONNX Runtime: one environment, and
// tensors in and out. Internal: the runtime's types are only declared here.
#pragma once

#include <string>
#include <string_view>

#include "passes/ir/tensor.h"
#include "passes/ir/value_type.h"

namespace Ort {
struct Env;
struct Value;
struct TypeInfo;
}  // namespace Ort

namespace lathe::latency::runtime {

// The process's only environment; its log goes nowhere. Made at the first call
// and never destroyed (sessions may outlive static destruction). Error
// kUnsupported when the library is older than the headers of this build.
// Call it before anything else of the runtime's C++ API.
Ort::Env& environment();

// The first line of a runtime's message without the source places, function
// signatures and prefixes that only its own developers can use.
std::string clean_message(std::string_view message);

// A view: `tensor` must outlive the value (strings are copied).
Ort::Value to_value(const ir::Tensor& tensor);
// Error kUnsupported when it is no tensor. With `copy` false the tensor is a
// view that must not outlive the value.
ir::Tensor to_tensor(const Ort::Value& value, const std::string& where,
                     bool copy);
ir::ValueType to_type(const Ort::TypeInfo& info);

}  // namespace lathe::latency::runtime
