// The exporter's inner parts: graphs, nodes, attributes.
#pragma once

#include <cstdint>
#include <functional>

#include "passes/io/onnx/external_data.h"
#include "passes/io/onnx/proto_fwd.h"
#include "passes/ir/graph.h"

namespace lathe::io {

// Where tensors go: null writes them into the message.
struct ExportContext {
  ExternalWriter* initializers = nullptr;
  ExternalWriter* attributes = nullptr;
  uint64_t external_min_bytes = 0;
  // Which ones go to `initializers`, asked once each; empty: all.
  std::function<bool(const ir::Value&)> moves = {};
};

void export_graph(const ir::Graph& graph, const ExportContext& context,
                  onnx::GraphProto& proto);
void export_attribute(const std::string& name, const ir::Attribute& attribute,
                      const ExportContext& context,
                      onnx::AttributeProto& proto);
void export_model(const ir::Model& model, const ExportContext& context,
                  onnx::ModelProto& proto);

}  // namespace lathe::io
