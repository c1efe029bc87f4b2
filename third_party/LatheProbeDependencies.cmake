# What lathe-probe alone is built with (LATHE_PROBE_ONLY): headers, ONNX Runtime
# and, in tools/probe, the static protobuf library. No package files are read,
# so that the headers of this machine serve a build for another one.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(ONNXRuntime REQUIRED)

# lathe_headers(TARGET HEADER): an interface of the folder that holds HEADER.
function(lathe_headers target header)
  string(MAKE_C_IDENTIFIER "LATHE_${target}_DIR" variable)
  find_path(${variable} ${header} REQUIRED)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  # /usr/include is searched anyway; naming it would put it before the
  # compiler's own folders.
  if(NOT ${variable} STREQUAL "/usr/include")
    set_target_properties(${target} PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${${variable}}")
  endif()
endfunction()

lathe_headers(nlohmann_json::nlohmann_json nlohmann/json.hpp)
lathe_headers(fmt::fmt fmt/format.h)
lathe_headers(CLI11::CLI11 CLI/CLI.hpp)
lathe_headers(ONNXProto::onnx_proto onnx/onnx_pb.h)
set_target_properties(ONNXProto::onnx_proto PROPERTIES
  INTERFACE_COMPILE_DEFINITIONS "ONNX_ML=1;ONNX_NAMESPACE=onnx")
# Of rooms that the probe takes some objects of, not these objects.
lathe_headers(TBB::tbb tbb/parallel_for.h)
lathe_headers(OpenSSL::Crypto openssl/opensslconf.h)
add_library(Eigen3::Eigen INTERFACE IMPORTED GLOBAL)

find_program(LATHE_PROTOC protoc REQUIRED)
add_executable(protobuf::protoc IMPORTED GLOBAL)
set_target_properties(protobuf::protoc PROPERTIES
  IMPORTED_LOCATION "${LATHE_PROTOC}")
