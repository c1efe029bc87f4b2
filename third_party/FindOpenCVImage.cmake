# The three parts of OpenCV that read and resize images: OpenCVImage::opencv.
# Debian's package with OpenCV's own CMake files (libopencv-dev) brings all of
# its modules and their dependencies, hundreds of megabytes; so the parts are
# looked up here when that package is absent.
find_package(OpenCV QUIET COMPONENTS core imgproc imgcodecs)
if(OpenCV_FOUND)
  set(OpenCVImage_INCLUDE_DIR ${OpenCV_INCLUDE_DIRS})
  set(OpenCVImage_LIBRARIES ${OpenCV_LIBS})
else()
  find_path(OpenCVImage_INCLUDE_DIR opencv2/core.hpp PATH_SUFFIXES opencv4)
  set(OpenCVImage_LIBRARIES)
  foreach(part core imgproc imgcodecs)
    find_library(OpenCVImage_${part}_LIBRARY NAMES opencv_${part})
    list(APPEND OpenCVImage_LIBRARIES ${OpenCVImage_${part}_LIBRARY})
  endforeach()
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCVImage
  REQUIRED_VARS OpenCVImage_LIBRARIES OpenCVImage_INCLUDE_DIR)
if(OpenCVImage_FOUND AND NOT TARGET OpenCVImage::opencv)
  add_library(OpenCVImage::opencv INTERFACE IMPORTED)
  target_include_directories(OpenCVImage::opencv SYSTEM
    INTERFACE ${OpenCVImage_INCLUDE_DIR})
  target_link_libraries(OpenCVImage::opencv INTERFACE ${OpenCVImage_LIBRARIES})
endif()
