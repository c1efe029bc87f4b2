#include "passes/io/onnx/tensor_proto.h"

#include <onnx/onnx_pb.h>

#include <bit>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "passes/io/onnx/types.h"
#include "passes/io/onnx/wire.h"

static_assert(std::endian::native == std::endian::little,
              "tensor bytes are little-endian");

namespace lathe::io {
namespace {

// A typed field as it lies in memory.
template <class Field>
ir::Bytes plain(const Field& field) {
  return ir::Bytes::copy_of(std::as_bytes(
      std::span(field.data(), static_cast<size_t>(field.size()))));
}

// Elements of a wider field cut to T.
template <class T, class Field>
ir::Bytes narrow(const Field& field) {
  std::vector<std::byte> bytes(static_cast<size_t>(field.size()) * sizeof(T));
  for (int i = 0; i < field.size(); ++i) {
    T element = static_cast<T>(field.Get(i));
    std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(T), &element,
                sizeof(T));
  }
  return ir::Bytes::own(std::move(bytes));
}

// Which field holds which type: onnx.proto, message TensorProto.
ir::Bytes typed_bytes(const onnx::TensorProto& proto, ir::DataType type) {
  switch (type) {
    case ir::DataType::kFloat:
    case ir::DataType::kComplex64:
      return plain(proto.float_data());
    case ir::DataType::kDouble:
    case ir::DataType::kComplex128:
      return plain(proto.double_data());
    case ir::DataType::kInt64:
      return plain(proto.int64_data());
    case ir::DataType::kUint64:
      return plain(proto.uint64_data());
    case ir::DataType::kUint32:
      return narrow<uint32_t>(proto.uint64_data());
    case ir::DataType::kInt32:
      return plain(proto.int32_data());
    case ir::DataType::kInt16:
    case ir::DataType::kUint16:
    case ir::DataType::kFloat16:
    case ir::DataType::kBfloat16:
      return narrow<uint16_t>(proto.int32_data());
    case ir::DataType::kBool: {
      std::vector<std::byte> bytes;
      bytes.reserve(static_cast<size_t>(proto.int32_data_size()));
      for (int32_t element : proto.int32_data())
        bytes.push_back(static_cast<std::byte>(element != 0));
      return ir::Bytes::own(std::move(bytes));
    }
    default:
      // Eight bits and below: an entry is a byte, sub-byte types packed in it.
      return narrow<uint8_t>(proto.int32_data());
  }
}

}  // namespace

ir::Tensor import_tensor(onnx::TensorProto& proto, const std::string& where,
                         const std::string& subject, ExternalReader& external) {
  std::string place = where.empty() ? subject : where + ": " + subject;
  if (proto.has_segment())
    throw_unsupported(where, subject + " is stored in segments",
                      "export the model again, without segments");
  ir::DataType type = import_data_type(proto.data_type(), where, subject);
  std::vector<int64_t> dims(proto.dims().begin(), proto.dims().end());
  bool is_external = proto.data_location() == onnx::TensorProto::EXTERNAL;
  ir::Tensor tensor;
  if (type == ir::DataType::kUndefined) {
    throw_input(where, subject + " has no element type");
  } else if (type == ir::DataType::kString) {
    if (is_external || !proto.raw_data().empty())
      throw_input(where, subject + " holds strings as raw bytes",
                  "string tensors must use the field string_data");
    std::vector<std::string> strings;
    for (std::string& element : *proto.mutable_string_data())
      strings.push_back(std::move(element));
    tensor = ir::Tensor(std::move(dims), std::move(strings), place);
  } else if (is_external) {
    uint64_t needed = ir::packed_bytes(type, ir::element_count(dims, place));
    tensor = ir::Tensor(type, std::move(dims),
                        external.read(proto, needed, subject), place);
  } else if (!proto.raw_data().empty()) {
    tensor =
        ir::Tensor(type, std::move(dims),
                   ir::Bytes::own(std::move(*proto.mutable_raw_data())), place);
  } else {
    tensor = ir::Tensor(type, std::move(dims), typed_bytes(proto, type), place);
  }
  tensor.name = proto.name();
  tensor.doc_string = proto.doc_string();
  tensor.unknown_fields =
      take_rest(proto, {1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14});
  return tensor;
}

void export_tensor(const ir::Tensor& tensor, std::string_view name,
                   ExternalWriter* external, uint64_t external_min_bytes,
                   onnx::TensorProto& proto) {
  proto.mutable_dims()->Assign(tensor.dims().begin(), tensor.dims().end());
  proto.set_data_type(static_cast<int32_t>(tensor.type()));
  if (!name.empty()) proto.set_name(std::string(name));
  if (!tensor.doc_string.empty()) proto.set_doc_string(tensor.doc_string);
  auto bytes = tensor.bytes();
  if (tensor.type() == ir::DataType::kString) {
    for (const std::string& element : tensor.strings())
      proto.add_string_data(element);
  } else if (external && !bytes.empty() && bytes.size() >= external_min_bytes) {
    external->place(bytes, proto);
  } else {
    proto.set_raw_data(bytes.data(), bytes.size());
  }
  merge_rest(proto, tensor.unknown_fields);
}

}  // namespace lathe::io
