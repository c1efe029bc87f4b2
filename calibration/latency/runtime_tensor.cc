#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <memory>
#include <string>
#include <vector>

#include "calibration/latency/runtime.h"
#include "passes/base/error.h"

namespace lathe::latency::runtime {
namespace {

// The numbers of the two enumerations are ONNX's.
ONNXTensorElementDataType to_runtime(ir::DataType type) {
  return static_cast<ONNXTensorElementDataType>(type);
}

ir::DataType from_runtime(ONNXTensorElementDataType type) {
  return ir::data_type_from_number(static_cast<int64_t>(type))
      .value_or(ir::DataType::kUndefined);
}

// A TypeProto whose only content is an empty message in `field`: says of which
// kind a value is that is no tensor.
std::string empty_type_proto(int field) {
  return {static_cast<char>(field << 3 | 2), '\0'};
}

std::string opaque_type(ONNXType type) {
  switch (type) {
    case ONNX_TYPE_SEQUENCE:
      return empty_type_proto(4);
    case ONNX_TYPE_MAP:
      return empty_type_proto(5);
    case ONNX_TYPE_SPARSETENSOR:
      return empty_type_proto(8);
    case ONNX_TYPE_OPTIONAL:
      return empty_type_proto(9);
    default:
      return empty_type_proto(7);
  }
}

std::vector<std::string> read_strings(const Ort::Value& value, size_t count) {
  std::vector<std::string> strings;
  strings.reserve(count);
  for (size_t i = 0; i < count; ++i)
    strings.push_back(value.GetStringTensorElement(i));
  return strings;
}

}  // namespace

Ort::Value to_value(const ir::Tensor& tensor) {
  const std::vector<int64_t>& dims = tensor.dims();
  if (tensor.type() == ir::DataType::kString) {
    Ort::AllocatorWithDefaultOptions allocator;
    Ort::Value value =
        Ort::Value::CreateTensor(allocator, dims.data(), dims.size(),
                                 ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING);
    std::vector<const char*> texts;
    for (const std::string& text : tensor.strings())
      texts.push_back(text.c_str());
    value.FillStringTensor(texts.data(), texts.size());
    return value;
  }
  static const Ort::MemoryInfo* memory = new Ort::MemoryInfo(
      Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault));
  static std::byte nothing[64];  // an address for tensors without elements
  std::span<const std::byte> bytes = tensor.bytes();
  void* data = bytes.empty() ? nothing : const_cast<std::byte*>(bytes.data());
  return Ort::Value::CreateTensor(*memory, data, bytes.size(), dims.data(),
                                  dims.size(), to_runtime(tensor.type()));
}

ir::Tensor to_tensor(const Ort::Value& value, const std::string& where,
                     bool copy) {
  if (!value.IsTensor())
    throw_unsupported(where, "is not a tensor", "only tensors can be read");
  Ort::TensorTypeAndShapeInfo info = value.GetTensorTypeAndShapeInfo();
  std::vector<int64_t> dims = info.GetShape();
  ir::DataType type = from_runtime(info.GetElementType());
  uint64_t count = ir::element_count(dims, where);
  if (type == ir::DataType::kUndefined)
    throw_unsupported(where, "has an element type that is not known here");
  if (type == ir::DataType::kString)
    return ir::Tensor(std::move(dims), read_strings(value, count), where);
  uint64_t size = ir::packed_bytes(type, count);
  std::span<const std::byte> bytes;
  if (size > 0)
    bytes = {static_cast<const std::byte*>(value.GetTensorRawData()), size};
  ir::Bytes storage =
      copy ? ir::Bytes::copy_of(bytes) : ir::Bytes(nullptr, bytes);
  return ir::Tensor(type, std::move(dims), std::move(storage), where);
}

ir::ValueType to_type(const Ort::TypeInfo& info) {
  ir::ValueType type;
  if (info.GetONNXType() != ONNX_TYPE_TENSOR) {
    type.opaque = opaque_type(info.GetONNXType());
    return type;
  }
  auto tensor = info.GetTensorTypeAndShapeInfo();
  type.elem = from_runtime(tensor.GetElementType());
  std::vector<int64_t> dims = tensor.GetShape();
  std::vector<const char*> symbols(dims.size());
  tensor.GetSymbolicDimensions(symbols.data(), symbols.size());
  ir::Shape shape;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] >= 0)
      shape.emplace_back(dims[i]);
    else
      shape.push_back(ir::Dim::named(symbols[i] ? symbols[i] : ""));
  }
  type.shape = std::move(shape);
  return type;
}

}  // namespace lathe::latency::runtime
