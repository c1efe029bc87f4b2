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
