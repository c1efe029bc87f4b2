# ONNX Runtime's C API: ONNXRuntime::onnxruntime. Looks in CMAKE_PREFIX_PATH
# (the official archives work), then where third_party/setup.sh unpacks it
# (.deps/onnxruntime), then in the system (Debian 13: libonnxruntime-dev).
set(_deps ${PROJECT_SOURCE_DIR}/.deps/onnxruntime)
find_path(ONNXRuntime_INCLUDE_DIR onnxruntime_c_api.h
  HINTS ${_deps}/include
  PATH_SUFFIXES include/onnxruntime include/onnxruntime/core/session include
                onnxruntime)
find_library(ONNXRuntime_LIBRARY NAMES onnxruntime HINTS ${_deps}/lib)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ONNXRuntime
  REQUIRED_VARS ONNXRuntime_LIBRARY ONNXRuntime_INCLUDE_DIR)
if(ONNXRuntime_FOUND AND NOT TARGET ONNXRuntime::onnxruntime)
  add_library(ONNXRuntime::onnxruntime UNKNOWN IMPORTED)
  set_target_properties(ONNXRuntime::onnxruntime PROPERTIES
    IMPORTED_LOCATION "${ONNXRuntime_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${ONNXRuntime_INCLUDE_DIR}")
endif()
