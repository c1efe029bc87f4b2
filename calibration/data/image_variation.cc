#include "calibration/data/image_variation.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "passes/base/random.h"

namespace lathe::data {

cv::Mat cropped_to(const cv::Mat& image, const Extent& size, double least_share,
                   int interpolation, uint64_t seed) {
  const Region region =
      crop_region({image.cols, image.rows}, size, least_share, seed);
  cv::Mat result = image(cv::Rect(
      static_cast<int>(region.x), static_cast<int>(region.y),
      static_cast<int>(region.width), static_cast<int>(region.height)));
  const cv::Size wanted(static_cast<int>(size.width),
                        static_cast<int>(size.height));
  if (result.size() == wanted) return result;
  cv::Mat resized;
  cv::resize(result, resized, wanted, 0, 0, interpolation);
  return resized;
}

cv::Mat moved(const cv::Mat& image, bool flip, int64_t shift, uint64_t seed) {
  cv::Mat result = image;
  if (flip && Random(derive_seed(seed, "flip")).below(2) == 1) {
    result = cv::Mat();
    cv::flip(image, result, /*around the vertical axis*/ 1);
  }
  if (shift == 0) return result;
  Random random(derive_seed(seed, "shift"));
  const int most = static_cast<int>(shift);
  const auto offset = [&] {
    return static_cast<int>(random.below(2 * static_cast<uint64_t>(shift) + 1));
  };
  const int x = offset(), y = offset();
  cv::Mat wide;
  cv::copyMakeBorder(result, wide, most, most, most, most, cv::BORDER_CONSTANT);
  return wide(cv::Rect(x, y, image.cols, image.rows));
}

}  // namespace lathe::data
