#include "calibration/data/variation.h"

#include <algorithm>
#include <cmath>

#include "passes/base/random.h"

namespace lathe::data {
namespace {

constexpr int kDraws = 10;
constexpr double kCropAspect = 4.0 / 3;
constexpr double kLeastErased = 0.02, kMostErased = 0.33;
constexpr double kErasedAspect = 1 / 0.3;

double area(const Extent& image) {
  return static_cast<double>(image.width) * static_cast<double>(image.height);
}

// Somewhere in the image; nullopt where such a rectangle does not fit.
std::optional<Region> draw_region(const Extent& image, double pixels,
                                  double aspect, Random& random) {
  const int64_t width = std::llround(std::sqrt(pixels * aspect));
  const int64_t height = std::llround(std::sqrt(pixels / aspect));
  if (width < 1 || width > image.width || height < 1 || height > image.height)
    return std::nullopt;
  const auto place = [&](int64_t free) {
    return static_cast<int64_t>(random.below(static_cast<uint64_t>(free) + 1));
  };
  const int64_t x = place(image.width - width);
  return Region{x, place(image.height - height), width, height};
}

// e^u, u uniform in ±log(most).
double draw_aspect(double most, Random& random) {
  const double bound = std::log(most);
  return std::exp(random.uniform(-bound, bound));
}

}  // namespace

Augmentation both(const Augmentation& a, const Augmentation& b) {
  return {a.flip || b.flip, std::max(a.shift, b.shift),
          std::min(a.crop, b.crop), std::max(a.erase, b.erase)};
}

Region crop_region(const Extent& image, const Extent& result,
                   double least_share, uint64_t seed) {
  Random random(derive_seed(seed, "crop"));
  const double middle =
      static_cast<double>(result.width) / static_cast<double>(result.height);
  for (int i = 0; i < kDraws; ++i) {
    const double share = random.uniform(least_share, 1);
    const double aspect = middle * draw_aspect(kCropAspect, random);
    if (const auto region =
            draw_region(image, share * area(image), aspect, random))
      return *region;
  }
  const auto width = static_cast<double>(image.width);
  const auto height = static_cast<double>(image.height);
  const double aspect =
      std::clamp(width / height, middle / kCropAspect, middle * kCropAspect);
  Region centre;
  centre.width =
      std::clamp<int64_t>(std::llround(height * aspect), 1, image.width);
  centre.height =
      std::clamp<int64_t>(std::llround(width / aspect), 1, image.height);
  centre.x = (image.width - centre.width) / 2;
  centre.y = (image.height - centre.height) / 2;
  return centre;
}

std::optional<Region> erased_region(const Extent& image, double probability,
                                    uint64_t seed) {
  Random random(derive_seed(seed, "erase"));
  if (random.uniform() >= probability) return std::nullopt;
  for (int i = 0; i < kDraws; ++i) {
    const double share = random.uniform(kLeastErased, kMostErased);
    const double aspect = draw_aspect(kErasedAspect, random);
    if (const auto region =
            draw_region(image, share * area(image), aspect, random))
      return region;
  }
  return std::nullopt;
}

}  // namespace lathe::data
