#include "passes/io/onnx/export_graph.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <unordered_set>

#include "passes/base/error.h"
#include "passes/io/onnx/tensor_proto.h"
#include "passes/io/onnx/types.h"
#include "passes/io/onnx/wire.h"

namespace lathe::io {
namespace {

using AttributeProto = onnx::AttributeProto;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

void export_description(const ir::Value& value, onnx::ValueInfoProto& proto) {
  proto.set_name(value.name());
  if (has_type(value.type)) export_type(value.type, *proto.mutable_type());
  if (!value.doc_string.empty()) proto.set_doc_string(value.doc_string);
  merge_rest(proto, value.unknown_fields);
}

bool has_description(const ir::Value& value) {
  return has_type(value.type) || !value.doc_string.empty() ||
         !value.unknown_fields.empty();
}

// A sparse initializer goes out as it came in while the dense tensor that
// stands for it is still the same.
std::unordered_set<const ir::Value*> export_sparse(const ir::Graph& graph,
                                                   onnx::GraphProto& proto) {
  std::unordered_set<const ir::Value*> written;
  for (const std::string& bytes : graph.sparse_initializers) {
    onnx::SparseTensorProto sparse;
    if (!sparse.ParseFromString(bytes))
      throw_internal("graph '" + graph.name + "'",
                     "a kept sparse initializer is not readable");
    const ir::Value* value = graph.find(sparse.values().name());
    if (!value || !value->has_initializer() || value->is_graph_input())
      continue;
    const ir::Tensor& tensor = value->tensor();
    if (sparse.values().data_type() != static_cast<int32_t>(tensor.type()) ||
        !std::ranges::equal(sparse.dims(), tensor.dims()))
      continue;
    onnx::SparseTensorProto copy = sparse;
    ExternalReader no_files({}, "");
    uint64_t budget = tensor.size_bytes();
    if (!import_sparse_tensor(copy, "", "sparse initializer", no_files, budget)
             .identical(tensor))
      continue;
    *proto.add_sparse_initializer() = std::move(sparse);
    written.insert(value);
  }
  return written;
}

void export_node(const ir::Node& node, const ExportContext& context,
                 onnx::NodeProto& proto) {
  for (const ir::Value* value : node.inputs())
    proto.add_input(value ? value->name() : "");
  for (const ir::Value* value : node.outputs())
    proto.add_output(value ? value->name() : "");
  if (!node.name.empty()) proto.set_name(node.name);
  proto.set_op_type(node.op_type);
  if (!node.domain.empty()) proto.set_domain(node.domain);
  if (!node.doc_string.empty()) proto.set_doc_string(node.doc_string);
  for (const auto& [name, attribute] : node.attributes())
    export_attribute(name, attribute, context, *proto.add_attribute());
  std::string rest = node.unknown_fields;
  if (!node.overload.empty()) append_field(rest, 8, node.overload);
  merge_rest(proto, rest);
}

}  // namespace

void export_attribute(const std::string& name, const ir::Attribute& attribute,
                      const ExportContext& context, AttributeProto& proto) {
  if (auto* opaque = attribute.get_if<ir::OpaqueAttribute>()) {
    if (!proto.ParseFromString(opaque->bytes))
      throw_internal("attribute '" + name + "'",
                     "the kept attribute is not readable");
    proto.set_name(name);
    return;
  }
  proto.set_name(name);
  if (!attribute.doc_string.empty()) proto.set_doc_string(attribute.doc_string);
  auto tensor = [&](const ir::Tensor& from, onnx::TensorProto& to) {
    export_tensor(from, from.name, context.attributes,
                  context.external_min_bytes, to);
  };
  using Graph = std::unique_ptr<ir::Graph>;
  std::visit(Overloaded{
                 [&](std::monostate) {
                   proto.set_type(static_cast<AttributeProto::AttributeType>(
                       attribute.ref_type));
                   if (!attribute.ref_name.empty())
                     proto.set_ref_attr_name(attribute.ref_name);
                 },
                 [&](float value) {
                   proto.set_type(AttributeProto::FLOAT);
                   proto.set_f(value);
                 },
                 [&](int64_t value) {
                   proto.set_type(AttributeProto::INT);
                   proto.set_i(value);
                 },
                 [&](const std::string& value) {
                   proto.set_type(AttributeProto::STRING);
                   proto.set_s(value);
                 },
                 [&](const ir::Tensor& value) {
                   proto.set_type(AttributeProto::TENSOR);
                   tensor(value, *proto.mutable_t());
                 },
                 [&](const Graph& value) {
                   proto.set_type(AttributeProto::GRAPH);
                   export_graph(*value, context, *proto.mutable_g());
                 },
                 [&](const std::vector<float>& values) {
                   proto.set_type(AttributeProto::FLOATS);
                   proto.mutable_floats()->Assign(values.begin(), values.end());
                 },
                 [&](const std::vector<int64_t>& values) {
                   proto.set_type(AttributeProto::INTS);
                   proto.mutable_ints()->Assign(values.begin(), values.end());
                 },
                 [&](const std::vector<std::string>& values) {
                   proto.set_type(AttributeProto::STRINGS);
                   for (const std::string& value : values)
                     proto.add_strings(value);
                 },
                 [&](const std::vector<ir::Tensor>& values) {
                   proto.set_type(AttributeProto::TENSORS);
                   for (const ir::Tensor& value : values)
                     tensor(value, *proto.add_tensors());
                 },
                 [&](const std::vector<Graph>& values) {
                   proto.set_type(AttributeProto::GRAPHS);
                   for (const Graph& value : values)
                     export_graph(*value, context, *proto.add_graphs());
                 },
                 [](const ir::OpaqueAttribute&) {},
             },
             attribute.data);
  merge_rest(proto, attribute.unknown_fields);
}

void export_graph(const ir::Graph& graph, const ExportContext& context,
                  onnx::GraphProto& proto) {
  if (!graph.name.empty()) proto.set_name(graph.name);
  if (!graph.doc_string.empty()) proto.set_doc_string(graph.doc_string);
  for (const auto& node : graph.nodes())
    export_node(*node, context, *proto.add_node());
  auto sparse = export_sparse(graph, proto);
  for (const ir::Value* value : graph.initializers())
    if (!sparse.contains(value))
      export_tensor(value->tensor(), value->name(),
                    !context.moves || context.moves(*value)
                        ? context.initializers
                        : nullptr,
                    context.external_min_bytes, *proto.add_initializer());
  for (const ir::Value* value : graph.inputs())
    export_description(*value, *proto.add_input());
  std::unordered_set<const ir::Value*> outputs;
  for (const ir::Value* value : graph.outputs()) {
    export_description(*value, *proto.add_output());
    outputs.insert(value);
  }
  for (const ir::Value* value : graph.values())
    if (value->producer() && !outputs.contains(value) &&
        has_description(*value))
      export_description(*value, *proto.add_value_info());
  for (const std::string& bytes : graph.quantization_annotations)
    merge_rest(*proto.add_quantization_annotation(), bytes);
  merge_rest(proto, graph.unknown_fields);
}

}  // namespace lathe::io
