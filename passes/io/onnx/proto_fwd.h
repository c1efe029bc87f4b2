// The protobuf classes by name only, so that no header here includes theirs.
#pragma once

namespace google::protobuf {
class Message;
}

namespace onnx {
class AttributeProto;
class FunctionProto;
class GraphProto;
class ModelProto;
class NodeProto;
class SparseTensorProto;
class TensorProto;
class TypeProto;
class ValueInfoProto;
}  // namespace onnx
