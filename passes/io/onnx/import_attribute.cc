#include <onnx/onnx_pb.h>

#include <memory>
#include <utility>
#include <vector>

#include "passes/base/error.h"
#include "passes/io/onnx/import_graph.h"
#include "passes/io/onnx/tensor_proto.h"
#include "passes/io/onnx/wire.h"

namespace lathe::io {
namespace {

using Proto = onnx::AttributeProto;

// The type of an attribute that does not state it (files before IR version 2
// did not): that of the one field that holds something.
int data_type_by_field(const Proto& proto) {
  const std::pair<bool, int> fields[] = {
      {proto.has_f(), Proto::FLOAT},
      {proto.has_i(), Proto::INT},
      {proto.has_s(), Proto::STRING},
      {proto.has_t(), Proto::TENSOR},
      {proto.has_g(), Proto::GRAPH},
      {proto.floats_size() > 0, Proto::FLOATS},
      {proto.ints_size() > 0, Proto::INTS},
      {proto.strings_size() > 0, Proto::STRINGS},
      {proto.tensors_size() > 0, Proto::TENSORS},
      {proto.graphs_size() > 0, Proto::GRAPHS},
  };
  int type = Proto::UNDEFINED;
  for (auto [holds, field_type] : fields) {
    if (!holds) continue;
    if (type != Proto::UNDEFINED) return Proto::UNDEFINED;
    type = field_type;
  }
  return type;
}

template <class T, class Field>
std::vector<T> to_vector(Field& field) {
  return {std::make_move_iterator(field.begin()),
          std::make_move_iterator(field.end())};
}

}  // namespace

std::string keep_message(const google::protobuf::Message& message,
                         const ImportContext& context,
                         const std::string& subject) {
  if (has_external_data(message))
    throw_unsupported(
        context.where,
        subject + " has external data in a place that Lathe only carries along",
        "save the model with all its data in one file");
  return message.SerializeAsString();
}

ImportedAttribute import_attribute(Proto& proto, const ImportContext& context,
                                   const std::string& subject) {
  ImportedAttribute result;
  ir::Attribute& attribute = result.attribute;
  std::string what = "attribute '" + proto.name() + "' of " + subject;
  if (proto.name().empty())
    throw_input(context.where, subject + " has an attribute without a name");
  if (!proto.ref_attr_name().empty()) {
    attribute.ref_name = proto.ref_attr_name();
    attribute.ref_type = proto.type();
    attribute.doc_string = proto.doc_string();
    attribute.unknown_fields = take_rest(proto, {1, 13, 20, 21});
    return result;
  }
  int type = proto.type();
  if (type == Proto::UNDEFINED) type = data_type_by_field(proto);
  auto tensor = [&](onnx::TensorProto& from) {
    return import_tensor(from, context.where, what, context.external);
  };
  auto graph = [&](onnx::GraphProto& from) {
    auto owned = std::make_unique<ir::Graph>();
    result.graphs.emplace_back(owned.get(), &from);
    return owned;
  };
  switch (type) {
    case Proto::FLOAT:
      attribute.data = proto.f();
      break;
    case Proto::INT:
      attribute.data = static_cast<int64_t>(proto.i());
      break;
    case Proto::STRING:
      attribute.data = std::move(*proto.mutable_s());
      break;
    case Proto::TENSOR:
      if (!proto.has_t())
        throw_input(context.where, what + " is a tensor, but holds none");
      attribute.data = tensor(*proto.mutable_t());
      break;
    case Proto::GRAPH:
      if (!proto.has_g())
        throw_input(context.where, what + " is a graph, but holds none");
      attribute.data = graph(*proto.mutable_g());
      break;
    case Proto::FLOATS:
      attribute.data = to_vector<float>(*proto.mutable_floats());
      break;
    case Proto::INTS:
      attribute.data = to_vector<int64_t>(*proto.mutable_ints());
      break;
    case Proto::STRINGS:
      attribute.data = to_vector<std::string>(*proto.mutable_strings());
      break;
    case Proto::TENSORS: {
      std::vector<ir::Tensor> tensors;
      for (auto& from : *proto.mutable_tensors())
        tensors.push_back(tensor(from));
      attribute.data = std::move(tensors);
      break;
    }
    case Proto::GRAPHS: {
      std::vector<std::unique_ptr<ir::Graph>> graphs;
      for (auto& from : *proto.mutable_graphs()) graphs.push_back(graph(from));
      attribute.data = std::move(graphs);
      break;
    }
    default:
      // Sparse tensors, types, and what came after the linked classes.
      attribute.data = ir::OpaqueAttribute{keep_message(proto, context, what)};
      return result;
  }
  attribute.doc_string = proto.doc_string();
  attribute.unknown_fields = take_rest(
      proto, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 20, 21, 22, 23});
  return result;
}

}  // namespace lathe::io
