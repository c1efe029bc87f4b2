#include "passes/io/onnx/wire.h"

#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <memory>

#include "passes/base/error.h"

namespace lathe::io {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

std::string take_rest(Message& message, std::initializer_list<int> handled) {
  const Reflection* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> present;
  reflection->ListFields(message, &present);
  std::erase_if(present, [&](const FieldDescriptor* field) {
    return std::ranges::find(handled, field->number()) != handled.end();
  });
  UnknownFieldSet* unknown = reflection->MutableUnknownFields(&message);
  if (present.empty() && unknown->empty()) return {};
  std::unique_ptr<Message> rest(message.New());
  if (!present.empty()) reflection->SwapFields(&message, rest.get(), present);
  reflection->MutableUnknownFields(rest.get())->Swap(unknown);
  return rest->SerializeAsString();
}

void merge_rest(Message& message, const std::string& rest) {
  if (rest.empty()) return;
  if (!message.MergeFromString(rest))
    throw_internal(message.GetTypeName(), "kept fields are not readable");
}

std::vector<std::string> take_fields(std::string& rest, int number) {
  std::vector<std::string> contents;
  if (rest.empty()) return contents;
  UnknownFieldSet fields;
  if (!fields.ParseFromString(rest)) return contents;
  UnknownFieldSet others;
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    if (field.number() == number &&
        field.type() == UnknownField::TYPE_LENGTH_DELIMITED)
      contents.push_back(field.length_delimited());
    else
      others.AddField(field);
  }
  if (!contents.empty()) {
    rest.clear();
    others.SerializeToString(&rest);
  }
  return contents;
}

void append_field(std::string& rest, int number, std::string_view content) {
  UnknownFieldSet field;
  field.AddLengthDelimited(number)->assign(content);
  std::string bytes;
  field.SerializeToString(&bytes);
  rest += bytes;
}

bool has_external_data(const Message& message) {
  if (auto* tensor = dynamic_cast<const onnx::TensorProto*>(&message))
    return tensor->data_location() == onnx::TensorProto::EXTERNAL;
  const Reflection* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> present;
  reflection->ListFields(message, &present);
  for (const FieldDescriptor* field : present) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      if (has_external_data(reflection->GetMessage(message, field)))
        return true;
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i)
      if (has_external_data(reflection->GetRepeatedMessage(message, field, i)))
        return true;
  }
  return false;
}

}  // namespace lathe::io
