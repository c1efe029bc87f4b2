// Variations on decoded pixels; what variation.h draws.
#pragma once

#include <cstdint>

#include "calibration/data/variation.h"

namespace cv {
class Mat;
}

namespace lathe::data {

// A region of at least `least_share` of the area, as crop_region() draws it,
// resized to `size` by an interpolation of OpenCV's.
cv::Mat cropped_to(const cv::Mat& image, const Extent& size, double least_share,
                   int interpolation, uint64_t seed);

// Flipped and shifted by up to so many pixels each way, over black. The
// image's own pixels stay as they are, and are what is returned where nothing
// moves.
cv::Mat moved(const cv::Mat& image, bool flip, int64_t shift, uint64_t seed);

}  // namespace lathe::data
