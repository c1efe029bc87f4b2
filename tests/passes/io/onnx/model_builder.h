// Small models as protobuf messages, and messages in a comparable form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "passes/io/onnx/proto_fwd.h"
#include "passes/ir/graph.h"

namespace lathe::test {

// IR version 8, opset 17, graph "g", nothing else.
onnx::ModelProto empty_model();
// x: float[N,2] -> MatMul with w: float[2,2] -> Relu -> y.
onnx::ModelProto small_model();

onnx::NodeProto& add_node(onnx::GraphProto& graph, const std::string& op_type,
                          const std::vector<std::string>& inputs,
                          const std::vector<std::string>& outputs,
                          const std::string& name = "");
// Negative dimensions are left without a value.
void set_float_type(onnx::ValueInfoProto& info, const std::string& name,
                    const std::vector<int64_t>& dims);
onnx::TensorProto& add_floats(onnx::GraphProto& graph, const std::string& name,
                              const std::vector<int64_t>& dims,
                              const std::vector<float>& values);

// An unknown field of that number with text in it.
void add_unknown(google::protobuf::Message& message, int number,
                 const std::string& text);

// Tensors everywhere in the message with raw data in place of typed fields;
// opset imports sorted by domain.
void normalize(onnx::ModelProto& model);
void normalize(google::protobuf::Message& message);
// "" when the messages say the same (unset and default are the same), else
// what differs. Both are normalized first.
std::string differences(onnx::ModelProto expected, onnx::ModelProto found);

// parse(export(import(bytes))), with the graph verified on the way.
onnx::ModelProto round_trip(const onnx::ModelProto& model);
// The whole text of the lathe::Error that importing throws, with its kind in
// front: "input: m.onnx: …"; "no error" when there is none.
std::string import_error(std::string_view bytes);
std::string import_error(const onnx::ModelProto& model);

}  // namespace lathe::test
