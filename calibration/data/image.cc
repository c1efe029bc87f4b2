#include "calibration/data/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <opencv2/core.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "calibration/data/file_set.h"
#include "calibration/data/image_variation.h"
#include "passes/base/error.h"

namespace lathe::data {
namespace {

// Threads are ours, and errors come as exceptions: OpenCV stays quiet.
void set_up_opencv() {
  static std::once_flag once;
  std::call_once(once, [] {
    cv::setNumThreads(0);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
  });
}

int interpolation_flag(const std::string& name) {
  if (name == "nearest") return cv::INTER_NEAREST;
  if (name == "area") return cv::INTER_AREA;
  if (name == "bicubic") return cv::INTER_CUBIC;
  return cv::INTER_LINEAR;
}

// libjpeg fills what a cut-off file lacks with gray and only warns.
bool jpeg_is_cut_off(std::string_view bytes) {
  if (!bytes.starts_with("\xff\xd8")) return false;
  const size_t scan = bytes.rfind("\xff\xda");
  return scan == std::string_view::npos ||
         bytes.find("\xff\xd9", scan) == std::string_view::npos;
}

cv::Mat decode(const Blob& blob) {
  const std::string bytes = blob.read_all(kMaxFileBytes);
  const std::optional<ImageSize> size = image_size(bytes);
  if (!size) throw_input(blob.name(), "not a readable JPEG, PNG or BMP image");
  if (size->width <= 0 || size->height <= 0 ||
      size->width > kMaxImagePixels / size->height)
    throw_input(blob.name(),
                fmt::format("an image of {}x{} pixels, expected at least one "
                            "and at most {}",
                            size->width, size->height, kMaxImagePixels));
  if (jpeg_is_cut_off(bytes)) throw_input(blob.name(), "the JPEG ends early");
  // libpng would say so on stderr as well.
  if (bytes.starts_with("\x89PNG") && bytes.find("IEND") == std::string::npos)
    throw_input(blob.name(), "the PNG ends early");
  cv::Mat image;
  try {
    const cv::Mat raw(1, static_cast<int>(bytes.size()), CV_8UC1,
                      const_cast<char*>(bytes.data()));
    image = cv::imdecode(raw, cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION);
  } catch (const cv::Exception& error) {
    throw_input(blob.name(), "the image does not decode: " + error.err);
  }
  if (image.empty()) throw_input(blob.name(), "the image does not decode");
  return image;
}

}  // namespace

struct ImageTransform::Impl {
  ImageOptions options;
  ModelInput model_input;
  int64_t channels = 3;
  size_t element_bytes = 4;
  // The converted value of every 8-bit value: [channel][value].
  std::vector<std::vector<std::byte>> table;

  // `image`: 8 bits, 3 channels blue green red, or 1.
  ir::Tensor finish(cv::Mat image, const std::string& name,
                    const std::optional<Variation>& variation) const;
  struct Sizes {
    cv::Size resized, result;
  };
  Sizes sizes(const cv::Size& image, const std::string& name) const;
  cv::Mat resized(const cv::Mat& image, const Sizes& sizes) const;
  void erase(const Region& region, const cv::Size& size, std::byte* out) const;
  template <class T>
  void fill(const cv::Mat& image, std::byte* out) const;
};

ImageTransform::~ImageTransform() = default;
ImageTransform::ImageTransform(ImageTransform&&) noexcept = default;
const ModelInput& ImageTransform::input() const { return impl_->model_input; }

ImageTransform::ImageTransform(ImageOptions options, ModelInput input,
                               const std::string& where) {
  set_up_opencv();
  auto impl = std::make_unique<Impl>();
  impl->channels = options.channels == "gray" ? 1 : 3;
  const auto one_a_channel = [&](std::vector<double>& values, double fallback,
                                 const char* key) {
    if (values.empty()) values = {fallback};
    if (values.size() == 1)
      values.resize(static_cast<size_t>(impl->channels), values[0]);
    if (static_cast<int64_t>(values.size()) != impl->channels)
      throw_input(where, fmt::format("{} has {} values for {} channels", key,
                                     values.size(), impl->channels));
  };
  const bool raw =
      !options.scale && options.mean.empty() && options.std.empty();
  if (options.resize &&
      (*options.resize)[0] > kMaxImagePixels / (*options.resize)[1])
    throw_input(where, fmt::format("resize to {}x{} is more than {} pixels",
                                   (*options.resize)[0], (*options.resize)[1],
                                   kMaxImagePixels));
  one_a_channel(options.mean, 0, "mean");
  one_a_channel(options.std, 1, "std");
  if (input.type == ir::DataType::kBool ||
      (!ir::is_integer(input.type) && input.type != ir::DataType::kFloat &&
       input.type != ir::DataType::kDouble &&
       input.type != ir::DataType::kFloat16 &&
       input.type != ir::DataType::kBfloat16) ||
      ir::bits_per_element(input.type) < 8)
    throw_input(where, fmt::format("input '{}' is of type {}, which cannot "
                                   "hold pixels",
                                   input.name, ir::to_string(input.type)));
  if (raw && input.type == ir::DataType::kInt8)
    throw_input(where,
                fmt::format("input '{}' is of type int8, which cannot hold "
                            "pixels of 0 to 255",
                            input.name),
                "say how they are brought into range, for example image.mean "
                "[128, 128, 128]");
  for (size_t c = 0; c < static_cast<size_t>(impl->channels); ++c) {
    std::vector<double> values(256);
    for (size_t x = 0; x < 256; ++x) {
      values[x] = (static_cast<double>(x) * options.scale.value_or(1) -
                   options.mean[c]) /
                  options.std[c];
      if (ir::is_integer(input.type)) values[x] = std::nearbyint(values[x]);
    }
    const ir::Tensor column =
        ir::Tensor::from_doubles(input.type, {256}, values);
    impl->table.emplace_back(column.bytes().begin(), column.bytes().end());
  }
  impl->element_bytes =
      static_cast<size_t>(ir::bits_per_element(input.type)) / 8;
  impl->options = std::move(options);
  impl->model_input = std::move(input);
  impl_ = std::move(impl);
}

ImageTransform::Impl::Sizes ImageTransform::Impl::sizes(
    const cv::Size& image, const std::string& name) const {
  cv::Size size = image;
  if (options.resize) {
    size = cv::Size(static_cast<int>((*options.resize)[1]),
                    static_cast<int>((*options.resize)[0]));
  } else if (options.resize_short) {
    // The long side keeps the ratio, rounded down.
    const int64_t side = *options.resize_short;
    const int64_t width = image.width, height = image.height;
    const int64_t less = std::min(width, height);
    const int64_t more = std::max(width, height) * side / less;
    if (side * more > kMaxImagePixels)
      throw_input(name, fmt::format("would become {}x{} pixels, expected at "
                                    "most {}",
                                    side, more, kMaxImagePixels));
    size = width <= height
               ? cv::Size(static_cast<int>(side), static_cast<int>(more))
               : cv::Size(static_cast<int>(more), static_cast<int>(side));
  }
  if (!options.crop) return {size, size};
  const auto [height, width] = *options.crop;
  if (height > size.height || width > size.width)
    throw_input(name,
                fmt::format("is {}x{} (height x width) before the crop "
                            "to {}x{}",
                            size.height, size.width, height, width),
                "set image.resize_short to at least the crop's size");
  return {size, cv::Size(static_cast<int>(width), static_cast<int>(height))};
}

cv::Mat ImageTransform::Impl::resized(const cv::Mat& image,
                                      const Sizes& sizes) const {
  cv::Mat all = image;
  if (sizes.resized != image.size())
    cv::resize(image, all, sizes.resized, 0, 0,
               interpolation_flag(options.interpolation));
  const cv::Point corner((all.cols - sizes.result.width) / 2,
                         (all.rows - sizes.result.height) / 2);
  return all(cv::Rect(corner, sizes.result));
}

// All zero bits are zero in every type that holds pixels.
void ImageTransform::Impl::erase(const Region& region, const cv::Size& size,
                                 std::byte* out) const {
  const bool planes = options.layout == "nchw";
  const int64_t pixel =
      static_cast<int64_t>(element_bytes) * (planes ? 1 : channels);
  const int64_t row = size.width * pixel;
  for (int64_t plane = 0; plane < (planes ? channels : 1); ++plane)
    for (int64_t y = region.y; y < region.y + region.height; ++y)
      std::memset(out + (plane * size.height + y) * row + region.x * pixel, 0,
                  static_cast<size_t>(region.width * pixel));
}

template <class T>
void ImageTransform::Impl::fill(const cv::Mat& image, std::byte* out) const {
  const size_t rows = static_cast<size_t>(image.rows);
  const size_t columns = static_cast<size_t>(image.cols);
  const size_t count = static_cast<size_t>(channels);
  const bool planes = options.layout == "nchw";
  for (size_t c = 0; c < count; ++c) {
    T values[256];
    std::memcpy(values, table[c].data(), sizeof values);
    // OpenCV's order is blue, green, red.
    const size_t source = options.channels == "rgb" ? count - 1 - c : c;
    T* to = reinterpret_cast<T*>(out) + (planes ? c * rows * columns : c);
    const size_t step = planes ? 1 : count;
    for (size_t y = 0; y < rows; ++y) {
      const uint8_t* from = image.ptr<uint8_t>(static_cast<int>(y)) + source;
      for (size_t x = 0; x < columns; ++x, from += count, to += step)
        *to = values[*from];
    }
  }
}

ir::Tensor ImageTransform::Impl::finish(
    cv::Mat image, const std::string& name,
    const std::optional<Variation>& variation) const {
  if (channels == 1 && image.channels() == 3)
    cv::cvtColor(image, image, cv::COLOR_BGR2GRAY);
  else if (channels == 3 && image.channels() == 1)
    cv::cvtColor(image, image, cv::COLOR_GRAY2BGR);
  const Sizes made = sizes(image.size(), name);
  Augmentation vary;
  if (variation) vary = both(options.augment, variation->augmentation);
  if (vary.crop < 1)
    image =
        cropped_to(image, {made.result.width, made.result.height}, vary.crop,
                   interpolation_flag(options.interpolation), variation->seed);
  else
    image = resized(image, made);
  if (variation) image = moved(image, vary.flip, vary.shift, variation->seed);
  std::vector<int64_t> dims = {channels, image.rows, image.cols};
  if (options.layout == "nhwc") dims = {image.rows, image.cols, channels};
  std::string hint =
      "set image.resize_short and image.crop, or image.resize, to the input's "
      "size";
  if (image.total() > 0 && model_input.dims && model_input.dims->size() == 4) {
    const size_t at = options.layout == "nhwc" ? 3 : 1;
    const int64_t wanted = (*model_input.dims)[at];
    if (wanted == 1 && channels == 3) hint = "set image.channels to \"gray\"";
    if (wanted == 3 && channels == 1) hint = "set image.channels to \"rgb\"";
    if (wanted > 4 && (*model_input.dims)[4 - at] == channels)
      hint = fmt::format("set image.layout to \"{}\"",
                         options.layout == "nhwc" ? "nchw" : "nhwc");
  }
  dims = fit_sample(dims, model_input, name, hint);
  std::vector<std::byte> bytes(image.total() * static_cast<size_t>(channels) *
                               element_bytes);
  switch (element_bytes) {
    case 1:
      fill<uint8_t>(image, bytes.data());
      break;
    case 2:
      fill<uint16_t>(image, bytes.data());
      break;
    case 4:
      fill<uint32_t>(image, bytes.data());
      break;
    default:
      fill<uint64_t>(image, bytes.data());
      break;
  }
  if (vary.erase > 0)
    if (const auto region = erased_region({image.cols, image.rows}, vary.erase,
                                          variation->seed))
      erase(*region, image.size(), bytes.data());
  return ir::Tensor(model_input.type, std::move(dims),
                    ir::Bytes::own(std::move(bytes)), name);
}

ir::Tensor ImageTransform::from_encoded(
    const Blob& blob, const std::optional<Variation>& variation) const {
  return impl_->finish(decode(blob), blob.name(), variation);
}

ir::Tensor ImageTransform::from_pixels(
    std::span<const uint8_t> pixels, int64_t height, int64_t width,
    int64_t channels, const std::string& name,
    const std::optional<Variation>& variation) const {
  if (static_cast<int64_t>(pixels.size()) != height * width * channels)
    throw_internal(name, "pixels and size disagree");
  cv::Mat image(static_cast<int>(height), static_cast<int>(width),
                channels == 3 ? CV_8UC3 : CV_8UC1,
                const_cast<uint8_t*>(pixels.data()));
  if (channels == 3) {
    cv::Mat swapped;
    cv::cvtColor(image, swapped, cv::COLOR_RGB2BGR);
    image = swapped;
  }
  return impl_->finish(std::move(image), name, variation);
}

}  // namespace lathe::data
