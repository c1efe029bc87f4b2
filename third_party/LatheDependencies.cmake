# How each dependency is found. third_party/README.md says which versions are
# tested; a user's own builds come first through CMAKE_PREFIX_PATH.
if(LATHE_PROBE_ONLY)
  include(LatheProbeDependencies)
  return()
endif()
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(TBB REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(LibArchive REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenCVImage REQUIRED)
find_package(Eigen3 3.3 REQUIRED NO_MODULE)
find_package(ONNXProto REQUIRED)
find_package(ONNXRuntime REQUIRED)
if(LATHE_TESTS)
  find_package(doctest REQUIRED)
endif()

# LibTorch's own package adds its flags to everything; keep them in one target.
find_package(Torch REQUIRED)
# It also forces its libraries on programs that call nothing of them.
foreach(target torch torch_cpu)
  if(TARGET ${target}_library)
    set_property(TARGET ${target}_library
                 PROPERTY INTERFACE_LINK_LIBRARIES ${target})
  endif()
endforeach()

# Process groups: LibTorch's headers show those whose own headers are there.
# LATHE_PROCESS_GROUPS: definitions; LATHE_PROCESS_GROUP_INCLUDES: folders.
include(CheckCXXSourceCompiles)
set(LATHE_PROCESS_GROUPS)
set(LATHE_PROCESS_GROUP_INCLUDES)
# lathe_process_group(GLOO|NCCL CLASS HEADER)
function(lathe_process_group name class header)
  find_path(LATHE_${name}_INCLUDE ${header} HINTS ${TORCH_INCLUDE_DIRS}
            PATH_SUFFIXES include)
  mark_as_advanced(LATHE_${name}_INCLUDE)
  if(NOT LATHE_${name}_INCLUDE)
    message(STATUS "No ${class}: ${header} is missing")
    return()
  endif()
  set(CMAKE_REQUIRED_DEFINITIONS -DUSE_C10D_${name})
  set(CMAKE_REQUIRED_INCLUDES ${LATHE_${name}_INCLUDE} ${TORCH_INCLUDE_DIRS})
  set(CMAKE_REQUIRED_LIBRARIES ${TORCH_LIBRARIES})
  set(CMAKE_REQUIRED_FLAGS "${TORCH_CXX_FLAGS} -std=c++20")
  check_cxx_source_compiles("
    #include <torch/csrc/distributed/c10d/${class}.hpp>
    int main() { return c10d::${class}::Options::create()->timeout.count() != 0; }"
    LATHE_HAS_${name})
  if(LATHE_HAS_${name})
    # LibTorch may define its own whether the headers are there or not.
    list(APPEND LATHE_PROCESS_GROUPS LATHE_WITH_${name} USE_C10D_${name})
    if(NOT LATHE_${name}_INCLUDE IN_LIST CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES)
      list(APPEND LATHE_PROCESS_GROUP_INCLUDES ${LATHE_${name}_INCLUDE})
    endif()
    return(PROPAGATE LATHE_PROCESS_GROUPS LATHE_PROCESS_GROUP_INCLUDES)
  endif()
endfunction()
lathe_process_group(GLOO ProcessGroupGloo gloo/rendezvous/store.h)
lathe_process_group(NCCL ProcessGroupNCCL nccl.h)
