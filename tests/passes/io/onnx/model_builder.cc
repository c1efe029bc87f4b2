#include "tests/passes/io/onnx/model_builder.h"

#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/field_comparator.h>
#include <google/protobuf/util/message_differencer.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstring>

#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/graph.h"

namespace lathe::test {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

template <class T, class Field>
void append_as(const Field& field, std::string& raw) {
  for (auto element : field) {
    T narrow = static_cast<T>(element);
    raw.append(reinterpret_cast<const char*>(&narrow), sizeof(T));
  }
}

void normalize_tensor(onnx::TensorProto& tensor) {
  using Proto = onnx::TensorProto;
  std::string raw = tensor.raw_data();
  append_as<float>(tensor.float_data(), raw);
  append_as<double>(tensor.double_data(), raw);
  append_as<int64_t>(tensor.int64_data(), raw);
  if (tensor.data_type() == Proto::UINT32)
    append_as<uint32_t>(tensor.uint64_data(), raw);
  else
    append_as<uint64_t>(tensor.uint64_data(), raw);
  switch (tensor.data_type()) {
    case Proto::INT32:
      append_as<int32_t>(tensor.int32_data(), raw);
      break;
    case Proto::INT16:
    case Proto::UINT16:
    case Proto::FLOAT16:
    case Proto::BFLOAT16:
      append_as<uint16_t>(tensor.int32_data(), raw);
      break;
    default:
      append_as<uint8_t>(tensor.int32_data(), raw);
  }
  tensor.clear_float_data();
  tensor.clear_double_data();
  tensor.clear_int32_data();
  tensor.clear_int64_data();
  tensor.clear_uint64_data();
  tensor.set_raw_data(raw);
}

}  // namespace

onnx::ModelProto empty_model() {
  onnx::ModelProto model;
  model.set_ir_version(8);
  auto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(17);
  model.mutable_graph()->set_name("g");
  return model;
}

onnx::ModelProto small_model() {
  onnx::ModelProto model = empty_model();
  onnx::GraphProto& graph = *model.mutable_graph();
  set_float_type(*graph.add_input(), "x", {-1, 2});
  add_floats(graph, "w", {2, 2}, {1, 2, 3, 4});
  add_node(graph, "MatMul", {"x", "w"}, {"h"}, "mm");
  add_node(graph, "Relu", {"h"}, {"y"}, "act");
  set_float_type(*graph.add_output(), "y", {-1, 2});
  return model;
}

onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& op_type,
                          const std::vector<std::string>& inputs,
                          const std::vector<std::string>& outputs,
                          const std::string& name) {
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(op_type);
  for (const std::string& input : inputs) node.add_input(input);
  for (const std::string& output : outputs) node.add_output(output);
  if (!name.empty()) node.set_name(name);
  return node;
}

void set_float_type(onnx::ValueInfoProto& info, const std::string& name,
                    const std::vector<int64_t>& dims) {
  info.set_name(name);
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(onnx::TensorProto::FLOAT);
  tensor.mutable_shape();
  for (int64_t dim : dims) {
    auto& added = *tensor.mutable_shape()->add_dim();
    if (dim >= 0) added.set_dim_value(dim);
  }
}

onnx::TensorProto& add_floats(onnx::GraphProto& graph, const std::string& name,
                              const std::vector<int64_t>& dims,
                              const std::vector<float>& values) {
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (int64_t dim : dims) tensor.add_dims(dim);
  for (float value : values) tensor.add_float_data(value);
  return tensor;
}

void add_unknown(Message& message, int number, const std::string& text) {
  message.GetReflection()
      ->MutableUnknownFields(&message)
      ->AddLengthDelimited(number)
      ->assign(text);
}

void normalize(Message& message) {
  if (auto* tensor = dynamic_cast<onnx::TensorProto*>(&message)) {
    normalize_tensor(*tensor);
    return;
  }
  const Reflection* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> present;
  reflection->ListFields(message, &present);
  for (const FieldDescriptor* field : present) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      normalize(*reflection->MutableMessage(&message, field));
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i)
      normalize(*reflection->MutableRepeatedMessage(&message, field, i));
  }
}

void normalize(onnx::ModelProto& model) {
  normalize(static_cast<Message&>(model));
  auto& opsets = *model.mutable_opset_import();
  std::sort(opsets.begin(), opsets.end(), [](const auto& a, const auto& b) {
    return a.domain() < b.domain();
  });
}

std::string differences(onnx::ModelProto expected, onnx::ModelProto found) {
  normalize(expected);
  normalize(found);
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  google::protobuf::util::MessageDifferencer differencer;
  differencer.set_field_comparator(&comparator);
  differencer.set_message_field_comparison(
      google::protobuf::util::MessageDifferencer::EQUIVALENT);
  std::string report;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(expected, found)) return "";
  return report.substr(0, 2000);
}

onnx::ModelProto round_trip(const onnx::ModelProto& model) {
  ir::Model imported =
      io::import_onnx_bytes(model.SerializeAsString(), "m.onnx");
  ir::verify(*imported.graph, "m.onnx");
  onnx::ModelProto result;
  if (!result.ParseFromString(io::export_onnx_bytes(imported)))
    throw_internal("round trip", "exported bytes are not readable");
  return result;
}

std::string import_error(std::string_view bytes) {
  try {
    io::import_onnx_bytes(bytes, "m.onnx");
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + ": " + error.what();
  }
  return "no error";
}

std::string import_error(const onnx::ModelProto& model) {
  return import_error(model.SerializeAsString());
}

}  // namespace lathe::test
