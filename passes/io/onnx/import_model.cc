#include <onnx/onnx_pb.h>

#include <climits>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <vector>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "passes/io/onnx/import_graph.h"
#include "passes/io/onnx/onnx.h"
#include "passes/io/onnx/tensor_proto.h"
#include "passes/io/onnx/unreadable.h"
#include "passes/io/onnx/wire.h"

namespace lathe::io {
namespace {

// Below, operators broadcast by attributes of their own.
constexpr int64_t kOldestOpset = 7;
// A sparse tensor is dense in the graph, though its file need not hold as many
// bytes: what all of them together may take.
constexpr uint64_t kMaxDenseBytes = uint64_t{256} << 20;

// Nesting is limited as in every reader that uses protobuf's default, the
// runtime included: 100 messages deep, which is 33 subgraphs.
bool parse(google::protobuf::Message& message, std::string_view bytes) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

void require_size(std::string_view bytes, const std::string& where) {
  if (bytes.size() > INT_MAX)
    throw_input(where,
                "is " + format_bytes(bytes.size()) +
                    ", but an ONNX file holds less than 2 GiB",
                "larger models keep their weights in external data files");
}

template <class Entries>
std::map<std::string, int64_t> import_opsets(const Entries& entries,
                                             const std::string& where) {
  std::map<std::string, int64_t> opsets;
  for (const auto& entry : entries) {
    std::string domain = normal_domain(entry.domain());
    std::string shown = domain.empty() ? "ai.onnx" : domain;
    if (entry.version() < 1)
      throw_input(where, "imports version " + std::to_string(entry.version()) +
                             " of the operator set '" + shown + "'");
    auto [it, is_new] = opsets.emplace(domain, entry.version());
    if (!is_new && it->second != entry.version())
      throw_input(where, "imports versions " + std::to_string(it->second) +
                             " and " + std::to_string(entry.version()) +
                             " of the operator set '" + shown + "'");
  }
  return opsets;
}

// A function's body is read as a graph. Its inputs and outputs are names only,
// unless a newer file describes them among its values.
onnx::GraphProto body_of(onnx::FunctionProto& proto,
                         const std::vector<std::string>& value_infos,
                         const std::string& where) {
  onnx::GraphProto graph;
  std::map<std::string, onnx::ValueInfoProto*> ends;
  for (const std::string& name : proto.output()) {
    onnx::ValueInfoProto& output = *graph.add_output();
    output.set_name(name);
    ends[name] = &output;
  }
  for (const std::string& name : proto.input()) {
    onnx::ValueInfoProto& input = *graph.add_input();
    input.set_name(name);
    ends[name] = &input;
  }
  for (const std::string& bytes : value_infos) {
    onnx::ValueInfoProto info;
    if (!parse(info, bytes))
      throw_unreadable(bytes, where, "value description");
    auto end = ends.find(info.name());
    (end == ends.end() ? *graph.add_value_info() : *end->second).Swap(&info);
  }
  graph.mutable_node()->Swap(proto.mutable_node());
  return graph;
}

ir::Function import_function(onnx::FunctionProto& proto,
                             const ImportContext& model) {
  if (proto.name().empty()) throw_input(model.where, "a function has no name");
  ir::Function function;
  function.domain = normal_domain(proto.domain());
  function.name = proto.name();
  function.doc_string = proto.doc_string();
  function.attributes.assign(proto.attribute().begin(),
                             proto.attribute().end());
  std::string subject = "function '" + function.name + "'";
  ImportContext context{model.where + ": " + subject, model.external,
                        model.sparse_budget};
  function.opset_imports = import_opsets(proto.opset_import(), context.where);
  // Fields younger than the classes: 11 attribute_proto, 12 value_info,
  // 13 overload.
  function.unknown_fields = take_rest(proto, {1, 4, 5, 6, 7, 8, 9, 10});
  onnx::GraphProto graph =
      body_of(proto, take_fields(function.unknown_fields, 12), context.where);
  for (const std::string& bytes : take_fields(function.unknown_fields, 11)) {
    onnx::AttributeProto attribute;
    if (!parse(attribute, bytes))
      throw_unreadable(bytes, context.where, "attribute");
    ImportedAttribute imported = import_attribute(attribute, context, subject);
    for (auto [empty, from] : imported.graphs)
      import_graph(*from, *empty, context);
    function.default_attributes.emplace_back(attribute.name(),
                                             std::move(imported.attribute));
  }
  for (std::string& overload : take_fields(function.unknown_fields, 13))
    function.overload = std::move(overload);
  function.body = std::make_unique<ir::Graph>();
  import_graph(graph, *function.body, context);
  return function;
}

void check_model(const onnx::ModelProto& proto, std::string_view bytes,
                 const std::string& where) {
  if (!proto.has_graph() && proto.opset_import_size() == 0)
    throw_unreadable(bytes, where);
  if (!proto.has_graph())
    throw_input(where, "has no graph",
                "the file may be cut short; fetch or export it again");
  if (proto.ir_version() < 1)
    throw_input(where, "has no valid IR version: " +
                           std::to_string(proto.ir_version()));
  if (proto.opset_import_size() == 0)
    throw_input(where, "imports no operator set",
                "the file may be cut short; fetch or export it again");
}

// Operators whose form before opset 7 means something else, with the opset from
// on which it is that of 7 (ONNX's changelog of operators).
int64_t form_since(const std::string& op) {
  static const std::map<std::string, int64_t> kChanged{
      {"Add", 7},
      {"Sub", 7},
      {"Mul", 7},
      {"Div", 7},
      {"And", 7},
      {"Or", 7},
      {"Xor", 7},
      {"Equal", 7},
      {"Less", 7},
      {"Greater", 7},
      {"Pow", 7},
      {"PRelu", 7},
      {"Gemm", 7},
      {"Dropout", 7},
      {"LSTM", 7},
      {"GRU", 7},
      {"RNN", 7},
      {"Upsample", 7},
      {"BatchNormalization", 7},
      {"Cast", 6},
      {"Tile", 6},
      {"Reshape", 5},
      {"Concat", 4},
      {"Pad", 2},
      {"Split", 2},
      {"LpPool", 2},
      {"GlobalLpPool", 2}};
  const auto found = kChanged.find(op);
  return found == kChanged.end() ? 1 : found->second;
}

// A model below the oldest opset is read as one of that opset where each of its
// operators already has that form.
void require_form_of_oldest(ir::Model& model, const std::string& where) {
  const int64_t opset = model.opset();
  ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
    for (const auto& node : graph.nodes())
      if (node->domain.empty() && opset < form_since(node->op_type))
        throw_unsupported(where,
                          "uses opset " + std::to_string(opset) +
                              ", in which " + node->label() +
                              " has another form; Lathe reads that of opset " +
                              std::to_string(kOldestOpset) + " and newer",
                          "export the model again with a newer opset");
  });
  model.opset_imports[""] = kOldestOpset;
}

}  // namespace

ir::Model import_onnx_bytes(std::string_view bytes, const std::string& where,
                            const std::filesystem::path& folder) {
  require_size(bytes, where);
  onnx::ModelProto proto;
  if (!parse(proto, bytes)) throw_unreadable(bytes, where);
  check_model(proto, bytes, where);
  ExternalReader external(folder, where);
  uint64_t sparse_budget = kMaxDenseBytes;
  ImportContext context{where, external, sparse_budget};

  ir::Model model;
  model.ir_version = proto.ir_version();
  model.producer_name = proto.producer_name();
  model.producer_version = proto.producer_version();
  model.domain = proto.domain();
  model.doc_string = proto.doc_string();
  model.model_version = proto.model_version();
  model.opset_imports = import_opsets(proto.opset_import(), where);
  for (const auto& entry : proto.metadata_props())
    model.metadata.emplace_back(entry.key(), entry.value());
  for (const auto& training : proto.training_info())
    model.training_info.push_back(
        keep_message(training, context, "the training information"));
  std::set<std::tuple<std::string, std::string, std::string>> names;
  for (auto& from : *proto.mutable_functions()) {
    ir::Function function = import_function(from, context);
    if (!names.emplace(function.domain, function.name, function.overload)
             .second)
      throw_input(where, "defines function '" + function.name + "' twice");
    model.functions.push_back(std::move(function));
  }
  import_graph(*proto.mutable_graph(), *model.graph, context);
  if (model.opset_imports.contains("") && model.opset() < kOldestOpset)
    require_form_of_oldest(model, where);
  model.unknown_fields = take_rest(proto, {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25});
  return model;
}

ir::Model import_onnx(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  auto bytes = file->bytes();
  std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : ".";
  return import_onnx_bytes(
      {reinterpret_cast<const char*>(bytes.data()), bytes.size()},
      path.string(), folder);
}

ir::Tensor read_tensor_file(const std::filesystem::path& path) {
  auto file = MappedFile::open(path);
  std::string_view bytes(reinterpret_cast<const char*>(file->bytes().data()),
                         file->bytes().size());
  std::string where = path.string();
  require_size(bytes, where);
  onnx::TensorProto proto;
  if (!parse(proto, bytes) || !proto.has_data_type())
    throw_unreadable(bytes, where, "tensor");
  ExternalReader external(path.has_parent_path() ? path.parent_path() : ".",
                          where);
  std::string subject = proto.name().empty() ? std::string("the tensor")
                                             : "tensor '" + proto.name() + "'";
  return import_tensor(proto, where, subject, external);
}

}  // namespace lathe::io
