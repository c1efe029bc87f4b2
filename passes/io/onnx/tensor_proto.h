// Tensors between TensorProto and ir::Tensor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "passes/io/onnx/external_data.h"
#include "passes/io/onnx/proto_fwd.h"
#include "passes/ir/tensor.h"

namespace lathe::io {

// Takes the data out of `proto`. Typed fields become little-endian bytes;
// external data stays mapped. `subject` ("initializer 'w'") stands in
// messages after `where`. Errors: kInput when bytes and shape disagree,
// kUnsupported for unknown element types and segmented tensors.
ir::Tensor import_tensor(onnx::TensorProto& proto, const std::string& where,
                         const std::string& subject, ExternalReader& external);

// Writes bytes as raw_data or, with a writer and from `external_min_bytes`
// on, to the data file.
void export_tensor(const ir::Tensor& tensor, std::string_view name,
                   ExternalWriter* external, uint64_t external_min_bytes,
                   onnx::TensorProto& proto);

// The dense form of a sparse tensor (ONNX SparseTensorProto: linear or
// coordinate indices). Takes its bytes off `budget`; error kUnsupported when
// it needs more, since the file need not hold that many.
ir::Tensor import_sparse_tensor(onnx::SparseTensorProto& proto,
                                const std::string& where,
                                const std::string& subject,
                                ExternalReader& external, uint64_t& budget);

}  // namespace lathe::io
