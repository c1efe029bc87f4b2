// The importer's inner parts: graphs, nodes, attributes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "passes/io/onnx/external_data.h"
#include "passes/io/onnx/proto_fwd.h"
#include "passes/ir/graph.h"

namespace lathe::io {

struct ImportContext {
  std::string where;  // the model (and function) in messages
  ExternalReader& external;
  uint64_t& sparse_budget;  // bytes that sparse tensors may still take
};

// ONNX has two spellings of its own domain; the graph has one.
std::string normal_domain(const std::string& domain);

// Fills `graph`, which already has its owner where it is a subgraph: values
// around it are looked up there. Takes data out of `proto`. The nodes end up
// in execution order.
void import_graph(onnx::GraphProto& proto, ir::Graph& graph,
                  const ImportContext& context);

// `subject` names the node or function. Graphs come back empty together with
// what belongs in them: a subgraph can be filled only once the attribute is in
// its node.
struct ImportedAttribute {
  ir::Attribute attribute;
  std::vector<std::pair<ir::Graph*, onnx::GraphProto*>> graphs;
};
ImportedAttribute import_attribute(onnx::AttributeProto& proto,
                                   const ImportContext& context,
                                   const std::string& subject);

// Serializes a message that is only carried along. Error kUnsupported when a
// tensor in it has external data.
std::string keep_message(const google::protobuf::Message& message,
                         const ImportContext& context,
                         const std::string& subject);

}  // namespace lathe::io
