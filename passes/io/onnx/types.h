// Static types between TypeProto and ir::ValueType.
#pragma once

#include <string>

#include "passes/io/onnx/proto_fwd.h"
#include "passes/ir/value_type.h"

namespace lathe::io {

// `subject` is what the type belongs to ("value 'x'"). A negative dimension,
// which some exporters write for "any", becomes an unknown one. Error
// kUnsupported on an element type without a known number.
ir::ValueType import_type(const onnx::TypeProto& proto,
                          const std::string& where, const std::string& subject);
void export_type(const ir::ValueType& type, onnx::TypeProto& proto);
// Whether the type says anything.
bool has_type(const ir::ValueType& type);

// The element type of that number; error kUnsupported when there is none.
ir::DataType import_data_type(int64_t number, const std::string& where,
                              const std::string& subject);

}  // namespace lathe::io
