// Images to tensors: decoding, resizing, cropping, channel order, scaling.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "calibration/data/blob.h"
#include "calibration/data/model_input.h"
#include "calibration/data/variation.h"
#include "passes/ir/tensor.h"

namespace lathe::data {

struct ImageOptions {
  std::optional<int64_t> resize_short;           // pixels of the short side
  std::optional<std::array<int64_t, 2>> resize;  // [height, width], exact
  std::string interpolation = "bilinear";
  std::optional<std::array<int64_t, 2>> crop;  // [height, width], centre
  std::string channels = "rgb";
  std::string layout = "nchw";
  std::optional<double> scale;
  std::vector<double> mean, std;  // empty, one, or one a channel
  Augmentation augment = {};      // training only
};

// Width and height from the header of a JPEG, PNG or BMP; nullopt for anything
// else. Reads no further than `bytes`.
struct ImageSize {
  int64_t width = 0, height = 0;
};
std::optional<ImageSize> image_size(std::string_view bytes);

// More pixels than this are refused before anything is decoded.
constexpr int64_t kMaxImagePixels = int64_t{1} << 26;

// Prepared for one model input. y = (x * scale - mean) / std in double
// precision, where x is an 8-bit value after resizing, then converted to the
// input's type (integers: rounded half to even, saturated).
//
// A variation keeps the result's size. In this order: a region of the image in
// the place of resizing and cropping; flip; shift, over x = 0; y = 0 in what is
// erased. Each is drawn from the seed alone, whichever others there are.
class ImageTransform {
 public:
  // `where`: the place of the image options, for errors kInput: mean or std
  // that do not match the channels, an input type that cannot hold pixels.
  ImageTransform(ImageOptions options, ModelInput input,
                 const std::string& where);
  ~ImageTransform();
  ImageTransform(ImageTransform&&) noexcept;

  // A JPEG, PNG or BMP. Orientation tags of EXIF are not applied. Error kInput
  // with the blob's name.
  ir::Tensor from_encoded(const Blob& blob,
                          const std::optional<Variation>& variation) const;
  // Pixels in rows, `channels` interleaved: 1 (gray) or 3 (rgb).
  ir::Tensor from_pixels(std::span<const uint8_t> pixels, int64_t height,
                         int64_t width, int64_t channels,
                         const std::string& name,
                         const std::optional<Variation>& variation) const;

  const ModelInput& input() const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace lathe::data
