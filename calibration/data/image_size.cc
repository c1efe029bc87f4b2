// The size of an image from its header alone: ITU T.81 (JPEG) annex B, the PNG
// specification section 11.2.1, and Windows' BITMAPINFOHEADER.
#include <cstdlib>

#include "calibration/data/image.h"

namespace lathe::data {
namespace {

uint32_t byte_at(std::string_view bytes, size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

uint32_t big16(std::string_view bytes, size_t at) {
  return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

uint32_t little32(std::string_view bytes, size_t at) {
  return byte_at(bytes, at) | byte_at(bytes, at + 1) << 8 |
         byte_at(bytes, at + 2) << 16 | byte_at(bytes, at + 3) << 24;
}

std::optional<ImageSize> jpeg_size(std::string_view bytes) {
  size_t at = 2;
  while (at + 4 <= bytes.size()) {
    if (byte_at(bytes, at) != 0xff) return std::nullopt;
    const uint32_t marker = byte_at(bytes, at + 1);
    if (marker == 0xff) {  // fill bytes before a marker
      ++at;
      continue;
    }
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    if (marker == 0xd9 || marker == 0xda) return std::nullopt;
    // A frame header is any SOF, which DHT (c4), JPG (c8) and DAC (cc) are not.
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 &&
                       marker != 0xc8 && marker != 0xcc;
    if (frame) {
      if (at + 9 > bytes.size()) return std::nullopt;
      return ImageSize{big16(bytes, at + 7), big16(bytes, at + 5)};
    }
    at += 2 + big16(bytes, at + 2);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ImageSize> image_size(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (bytes.starts_with("\xff\xd8"sv)) return jpeg_size(bytes);
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) {
    if (bytes.size() < 24) return std::nullopt;
    return ImageSize{big16(bytes, 16) << 16 | big16(bytes, 18),
                     big16(bytes, 20) << 16 | big16(bytes, 22)};
  }
  if (bytes.starts_with("BM"sv)) {
    if (bytes.size() < 26) return std::nullopt;
    if (little32(bytes, 14) == 12)  // the older header of 16-bit sizes
      return ImageSize{little32(bytes, 18) & 0xffff, little32(bytes, 18) >> 16};
    // A negative height means that the top row comes first.
    const auto width = static_cast<int32_t>(little32(bytes, 18));
    const auto height = static_cast<int32_t>(little32(bytes, 22));
    return ImageSize{width, std::llabs(int64_t{height})};
  }
  return std::nullopt;
}

}  // namespace lathe::data
