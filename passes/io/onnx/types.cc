#include "passes/io/onnx/types.h"

#include <onnx/onnx_pb.h>

#include "passes/base/error.h"

namespace lathe::io {

ir::DataType import_data_type(int64_t number, const std::string& where,
                              const std::string& subject) {
  if (auto type = ir::data_type_from_number(number)) return *type;
  throw_unsupported(where,
                    subject + " has element type number " +
                        std::to_string(number) + ", which Lathe does not know",
                    "element types up to number 26 (int2) are known");
}

ir::ValueType import_type(const onnx::TypeProto& proto,
                          const std::string& where,
                          const std::string& subject) {
  ir::ValueType type;
  bool is_tensor = proto.value_case() == onnx::TypeProto::kTensorType;
  bool is_empty = proto.value_case() == onnx::TypeProto::VALUE_NOT_SET &&
                  proto.unknown_fields().empty();
  if (!is_tensor && !is_empty) {
    type.opaque = proto.SerializeAsString();
    return type;
  }
  type.denotation = proto.denotation();
  if (is_empty) return type;
  const onnx::TypeProto::Tensor& tensor = proto.tensor_type();
  type.elem = import_data_type(tensor.elem_type(), where, subject);
  if (!tensor.has_shape()) return type;
  type.shape.emplace();
  for (const auto& dim : tensor.shape().dim()) {
    ir::Dim& added = type.shape->emplace_back();
    if (dim.has_dim_value() && dim.dim_value() >= 0)
      added.value = dim.dim_value();
    added.symbol = dim.dim_param();
    added.denotation = dim.denotation();
  }
  return type;
}

void export_type(const ir::ValueType& type, onnx::TypeProto& proto) {
  if (!type.opaque.empty()) {
    if (!proto.ParseFromString(type.opaque))
      throw_internal("value type", "the kept type is not readable");
    return;
  }
  if (!type.denotation.empty()) proto.set_denotation(type.denotation);
  if (type.elem == ir::DataType::kUndefined && !type.shape) return;
  onnx::TypeProto::Tensor& tensor = *proto.mutable_tensor_type();
  tensor.set_elem_type(static_cast<int32_t>(type.elem));
  if (!type.shape) return;
  onnx::TensorShapeProto& shape = *tensor.mutable_shape();
  for (const ir::Dim& dim : *type.shape) {
    auto& added = *shape.add_dim();
    if (dim.known())
      added.set_dim_value(dim.value);
    else if (!dim.symbol.empty())
      added.set_dim_param(dim.symbol);
    if (!dim.denotation.empty()) added.set_denotation(dim.denotation);
  }
}

bool has_type(const ir::ValueType& type) {
  return type.elem != ir::DataType::kUndefined || type.shape ||
         !type.opaque.empty() || !type.denotation.empty();
}

}  // namespace lathe::io
