#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <climits>
#include <optional>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/text.h"
#include "passes/io/onnx/export_graph.h"
#include "passes/io/onnx/onnx.h"
#include "passes/io/onnx/tensor_proto.h"
#include "passes/io/onnx/wire.h"

namespace lathe::io {
namespace {

// Streams a serialized message into a file that is not yet visible.
class FileSink : public google::protobuf::io::CopyingOutputStream {
 public:
  explicit FileSink(AtomicFile& file) : file_(file) {}
  bool Write(const void* buffer, int size) override {
    file_.write(std::string_view(static_cast<const char*>(buffer),
                                 static_cast<size_t>(size)));
    return true;
  }

 private:
  AtomicFile& file_;
};

void write_message(const onnx::ModelProto& proto,
                   const std::filesystem::path& path) {
  AtomicFile file(path);
  FileSink sink(file);
  bool written = false;
  {
    google::protobuf::io::CopyingOutputStreamAdaptor stream(&sink, 1 << 20);
    written = proto.SerializeToZeroCopyStream(&stream) && stream.Flush();
  }
  if (!written)
    throw Error(ErrorKind::kIo, path.string(), "could not be written");
  file.commit();
}

template <class Entries>
void export_opsets(const std::map<std::string, int64_t>& opsets,
                   Entries& entries) {
  for (const auto& [domain, version] : opsets) {
    auto& entry = *entries.Add();
    entry.set_domain(domain);
    entry.set_version(version);
  }
}

// A function has no initializers: constants that a pass put in its body
// become nodes in front.
void export_body(const ir::Function& function, const ExportContext& context,
                 onnx::FunctionProto& proto, std::string& rest) {
  onnx::GraphProto graph;
  export_graph(*function.body, context, graph);
  for (const auto& input : graph.input()) proto.add_input(input.name());
  for (const auto& output : graph.output()) proto.add_output(output.name());
  for (auto& tensor : *graph.mutable_initializer()) {
    onnx::NodeProto& node = *proto.add_node();
    node.set_op_type("Constant");
    node.add_output(tensor.name());
    onnx::AttributeProto& value = *node.add_attribute();
    value.set_name("value");
    value.set_type(onnx::AttributeProto::TENSOR);
    value.mutable_t()->Swap(&tensor);
  }
  for (auto& node : *graph.mutable_node()) proto.add_node()->Swap(&node);
  auto describe = [&](const auto& infos) {
    for (const auto& info : infos) {
      onnx::ValueInfoProto bare;
      bare.set_name(info.name());
      if (info.ByteSizeLong() != bare.ByteSizeLong())
        append_field(rest, 12, info.SerializeAsString());
    }
  };
  describe(graph.input());
  describe(graph.output());
  describe(graph.value_info());
}

void export_function(const ir::Function& function, const ExportContext& context,
                     onnx::FunctionProto& proto) {
  proto.set_name(function.name);
  proto.set_domain(function.domain);
  if (!function.doc_string.empty()) proto.set_doc_string(function.doc_string);
  for (const std::string& attribute : function.attributes)
    proto.add_attribute(attribute);
  export_opsets(function.opset_imports, *proto.mutable_opset_import());
  std::string rest;
  for (const auto& [name, attribute] : function.default_attributes) {
    onnx::AttributeProto default_attribute;
    export_attribute(name, attribute, context, default_attribute);
    append_field(rest, 11, default_attribute.SerializeAsString());
  }
  export_body(function, context, proto, rest);
  if (!function.overload.empty()) append_field(rest, 13, function.overload);
  merge_rest(proto, rest + function.unknown_fields);
}

[[noreturn]] void throw_too_large(const std::string& where, uint64_t bytes) {
  throw_unsupported(where,
                    "the model takes " + format_bytes(bytes) +
                        ", but one ONNX file holds less than 2 GiB",
                    "save it to a file, so that its weights can go to a "
                    "second one");
}

// How large the model would be in one file (an upper bound: the references to
// external data that stand for the tensors here are longer than their tags).
struct Sizes {
  uint64_t structure, initializers, attributes;
  uint64_t total() const { return structure + initializers + attributes; }
};

Sizes measure(const ir::Model& model, uint64_t external_min_bytes,
              const std::string& location) {
  ExternalWriter initializers(nullptr, location), attributes(nullptr, location);
  onnx::ModelProto proto;
  export_model(model, {&initializers, &attributes, external_min_bytes}, proto);
  return {proto.ByteSizeLong(), initializers.placed_bytes(),
          attributes.placed_bytes()};
}

// Smaller tensors may be shapes, which the runtime reads while it loads.
constexpr uint64_t kDetachedBytes = 4096;

bool can_be_detached(const ir::Value& value) {
  // The runtime drops what nothing reads before it looks for its data.
  if (!value.is_constant() || value.is_graph_output() || value.unused() ||
      value.tensor().size_bytes() < kDetachedBytes)
    return false;
  switch (value.tensor().type()) {
    case ir::DataType::kFloat:
    case ir::DataType::kFloat16:
    case ir::DataType::kBfloat16:
    case ir::DataType::kInt8:
    case ir::DataType::kUint8:
      return true;
    default:
      return false;
  }
}

}  // namespace

void export_model(const ir::Model& model, const ExportContext& context,
                  onnx::ModelProto& proto) {
  proto.set_ir_version(model.ir_version);
  if (!model.producer_name.empty())
    proto.set_producer_name(model.producer_name);
  if (!model.producer_version.empty())
    proto.set_producer_version(model.producer_version);
  if (!model.domain.empty()) proto.set_domain(model.domain);
  if (model.model_version != 0) proto.set_model_version(model.model_version);
  if (!model.doc_string.empty()) proto.set_doc_string(model.doc_string);
  export_opsets(model.opset_imports, *proto.mutable_opset_import());
  for (const auto& [key, value] : model.metadata) {
    auto& entry = *proto.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  for (const std::string& bytes : model.training_info)
    merge_rest(*proto.add_training_info(), bytes);
  for (const ir::Function& function : model.functions)
    export_function(function, context, *proto.add_functions());
  export_graph(*model.graph, context, *proto.mutable_graph());
  merge_rest(proto, model.unknown_fields);
}

std::string export_onnx_bytes(const ir::Model& model) {
  // Measured first, so that nothing of that size is ever built.
  uint64_t bytes = measure(model, /*external_min_bytes=*/1024, "").total();
  if (bytes > INT_MAX) throw_too_large("model", bytes);
  onnx::ModelProto proto;
  export_model(model, {}, proto);
  return proto.SerializeAsString();
}

DetachedModel export_onnx_detached(const ir::Model& model) {
  DetachedModel detached;
  const auto moves = [&](const ir::Value& value) {
    if (&value.graph() != model.graph.get() || !can_be_detached(value))
      return false;
    detached.weights.emplace_back(value.name(), value.tensor());
    return true;
  };
  uint64_t bytes = measure(model, kDetachedBytes, "").total();
  for (const ir::Value* value : model.graph->initializers())
    if (can_be_detached(*value)) bytes -= value->tensor().size_bytes();
  if (bytes > INT_MAX) throw_too_large("model", bytes);
  onnx::ModelProto proto;
  ExternalWriter nowhere(nullptr, "weights-in-memory");
  export_model(model, {&nowhere, nullptr, /*external_min_bytes=*/0, moves},
               proto);
  detached.bytes = proto.SerializeAsString();
  return detached;
}

void export_onnx(const ir::Model& model, const std::filesystem::path& path,
                 const ExportOptions& options) {
  uint64_t limit = std::min<uint64_t>(options.max_file_bytes, INT_MAX);
  std::string location = path.filename().string() + ".data";
  Sizes sizes = measure(model, options.external_min_bytes, location);
  onnx::ModelProto proto;
  bool nothing_to_move = sizes.initializers + sizes.attributes == 0;
  if (sizes.total() <= limit || (nothing_to_move && sizes.total() <= INT_MAX)) {
    export_model(model, {}, proto);
    write_message(proto, path);
    return;
  }
  AtomicFile data(path.parent_path() / location);
  ExternalWriter writer(&data, location);
  // Attributes only when they must: fewer readers expect data of theirs there.
  bool move_attributes = sizes.structure + sizes.attributes > limit;
  export_model(model,
               {&writer, move_attributes ? &writer : nullptr,
                options.external_min_bytes},
               proto);
  if (proto.ByteSizeLong() > INT_MAX)
    throw_too_large(path.string(), proto.ByteSizeLong());
  data.commit();
  write_message(proto, path);
}

}  // namespace lathe::io
