# ONNX's protobuf message classes alone: ONNXProto::onnx_proto. The rest of the
# ONNX library (schemas, checker, shape inference) is left out on purpose: on
# Debian 13 it shares a library with ONNX Runtime and registering schemas twice
# floods stderr.
find_package(Protobuf REQUIRED)
find_path(ONNXProto_INCLUDE_DIR onnx/onnx_pb.h)
find_library(ONNXProto_LIBRARY NAMES onnx_proto)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ONNXProto
  REQUIRED_VARS ONNXProto_LIBRARY ONNXProto_INCLUDE_DIR)
if(ONNXProto_FOUND AND NOT TARGET ONNXProto::onnx_proto)
  add_library(ONNXProto::onnx_proto UNKNOWN IMPORTED)
  set_target_properties(ONNXProto::onnx_proto PROPERTIES
    IMPORTED_LOCATION "${ONNXProto_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${ONNXProto_INCLUDE_DIR}"
    INTERFACE_COMPILE_DEFINITIONS "ONNX_ML=1;ONNX_NAMESPACE=onnx"
    INTERFACE_LINK_LIBRARIES "protobuf::libprotobuf")
endif()
