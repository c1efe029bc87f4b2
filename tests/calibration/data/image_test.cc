#include "calibration/data/image.h"

#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

using data::Blob;
using data::ImageOptions;
using data::ImageTransform;
using data::ModelInput;
using data::Variation;

ModelInput input(std::vector<int64_t> dims,
                 ir::DataType type = ir::DataType::kFloat) {
  ModelInput result;
  result.name = "x";
  result.type = type;
  result.symbols.assign(dims.size(), "");
  result.dims = std::move(dims);
  return result;
}

// 2 x 3 pixels that differ in every channel.
Rgb ramp(int y, int x) {
  const int at = 3 * y + x;
  return {static_cast<unsigned char>(10 + at),
          static_cast<unsigned char>(100 + at),
          static_cast<unsigned char>(200 + at)};
}

Blob ramp_png() {
  return Blob::memory(encoded(".png", 2, 3, ramp), "ramp.png");
}

TEST_CASE("image: planes in red, green, blue, as they are") {
  ImageTransform transform({}, input({-1, 3, 2, 3}), "");
  const ir::Tensor tensor = transform.from_encoded(ramp_png(), std::nullopt);
  CHECK(tensor.dims() == std::vector<int64_t>{3, 2, 3});
  CHECK(values<float>(tensor) ==
        std::vector<float>{10, 11, 12, 13, 14, 15, 100, 101, 102, 103, 104, 105,
                           200, 201, 202, 203, 204, 205});
}

TEST_CASE("image: bgr, nhwc and bmp") {
  ImageOptions options;
  options.channels = "bgr";
  options.layout = "nhwc";
  ImageTransform transform(options, input({1, 2, 3, 3}, ir::DataType::kUint8),
                           "");
  const Blob bmp = Blob::memory(encoded(".bmp", 2, 3, ramp), "ramp.bmp");
  const ir::Tensor tensor = transform.from_encoded(bmp, std::nullopt);
  CHECK(tensor.dims() == std::vector<int64_t>{2, 3, 3});
  CHECK(values<uint8_t>(tensor) ==
        std::vector<uint8_t>{200, 100, 10, 201, 101, 11, 202, 102, 12, 203, 103,
                             13, 204, 104, 14, 205, 105, 15});
}

TEST_CASE("image: y = (x * scale - mean) / std for each channel") {
  ImageOptions options;
  options.scale = 1.0 / 255;
  options.mean = {0.485, 0.456, 0.406};
  options.std = {0.229, 0.224, 0.225};
  ImageTransform transform(options, input({-1, 3, 2, 3}), "");
  const auto tensor =
      values<float>(transform.from_encoded(ramp_png(), std::nullopt));
  CHECK(tensor[0] == static_cast<float>((10 * (1.0 / 255) - 0.485) / 0.229));
  CHECK(tensor[7] == static_cast<float>((101 * (1.0 / 255) - 0.456) / 0.224));
  CHECK(tensor[17] == static_cast<float>((205 * (1.0 / 255) - 0.406) / 0.225));
}

TEST_CASE("image: gray by the weights of ITU-R BT.601") {
  ImageOptions options;
  options.channels = "gray";
  ImageTransform transform(options, input({1, 1, 2, 3}), "");
  const auto tensor =
      values<float>(transform.from_encoded(ramp_png(), std::nullopt));
  // 0.299 * 10 + 0.587 * 100 + 0.114 * 200 = 84.49
  CHECK(tensor[0] == 84);
  CHECK(tensor[5] == 89);
}

TEST_CASE("image: the crop is centred") {
  ImageOptions options;
  options.crop = {{2, 1}};
  ImageTransform transform(options, input({1, 3, 2, 1}), "");
  const auto tensor =
      values<float>(transform.from_encoded(ramp_png(), std::nullopt));
  CHECK(tensor == std::vector<float>{11, 14, 101, 104, 201, 204});
}

TEST_CASE("image: resize_short keeps the ratio, whichever side is short") {
  for (const auto& [height, width] : {std::pair(4, 6), std::pair(6, 4)}) {
    ImageOptions options;
    options.resize_short = 2;
    options.interpolation = "area";
    ImageTransform transform(options, input({1, 3, height / 2, width / 2}), "");
    const Blob image = Blob::memory(
        encoded(".png", height, width,
                [](int y, int x) {
                  const auto v =
                      static_cast<unsigned char>(8 * (y / 2) + 16 * (x / 2));
                  return Rgb{v, v, v};
                }),
        "blocks.png");
    const auto tensor =
        values<float>(transform.from_encoded(image, std::nullopt));
    for (int y = 0; y < height / 2; ++y)
      for (int x = 0; x < width / 2; ++x)
        CHECK(tensor[static_cast<size_t>(y * width / 2 + x)] == 8 * y + 16 * x);
  }
}

TEST_CASE("image: each interpolation is the one it is called") {
  // One row 0 10 20 30 brought to half its width.
  const Blob row = Blob::memory(
      encoded(".png", 1, 4,
              [](int, int x) {
                const auto v = static_cast<unsigned char>(10 * x * x);
                return Rgb{v, v, v};
              }),
      "row.png");
  const auto resized = [&](const char* interpolation) {
    ImageOptions options;
    options.resize = {{1, 2}};
    options.interpolation = interpolation;
    options.channels = "gray";
    return values<float>(ImageTransform(options, input({1, 1, 1, 2}), "")
                             .from_encoded(row, std::nullopt));
  };
  // 0 10 40 90
  CHECK(resized("nearest") == std::vector<float>{0, 40});
  CHECK(resized("bilinear") == std::vector<float>{5, 65});
  CHECK(resized("area") == std::vector<float>{5, 65});
  // Keys' kernel with a = -0.75, half way: -3/32, 19/32, 19/32, -3/32, with the
  // border repeated.
  CHECK(resized("bicubic") == std::vector<float>{2, 68});
}

TEST_CASE("image: integer inputs round half to even and saturate") {
  ImageOptions options;
  options.scale = 0.5;
  options.mean = {5};
  ImageTransform transform(options, input({1, 3, 2, 3}, ir::DataType::kInt8),
                           "");
  const auto tensor =
      values<int8_t>(transform.from_encoded(ramp_png(), std::nullopt));
  // 10 -> 0, 11 -> 0.5 -> 0, 12 -> 1, 13 -> 1.5 -> 2
  CHECK(std::vector<int8_t>(tensor.begin(), tensor.begin() + 4) ==
        std::vector<int8_t>{0, 0, 1, 2});
  CHECK(tensor[12] == 95);
  options.scale = 2;
  const auto large = values<int8_t>(
      ImageTransform(options, input({1, 3, 2, 3}, ir::DataType::kInt8), "")
          .from_encoded(ramp_png(), std::nullopt));
  CHECK(large[17] == 127);
}

TEST_CASE("image: half precision inputs") {
  ImageTransform transform({}, input({1, 3, 2, 3}, ir::DataType::kFloat16), "");
  const ir::Tensor tensor = transform.from_encoded(ramp_png(), std::nullopt);
  CHECK(tensor.type() == ir::DataType::kFloat16);
  CHECK(tensor.to_floats()[17] == 205);
}

TEST_CASE("image: the same seed varies an image in the same way") {
  ImageOptions options;
  options.augment.flip = true;
  options.augment.shift = 1;
  ImageTransform transform(options, input({1, 3, 2, 3}), "");
  const auto plain =
      values<float>(transform.from_encoded(ramp_png(), std::nullopt));
  CHECK(plain[0] == 10);
  bool differs = false;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const auto once =
        values<float>(transform.from_encoded(ramp_png(), Variation{seed}));
    CHECK(once ==
          values<float>(transform.from_encoded(ramp_png(), Variation{seed})));
    differs |= once != plain;
  }
  CHECK(differs);
}

TEST_CASE("image: a flip leaves the caller's pixels alone") {
  ImageOptions options;
  options.augment.flip = true;
  options.channels = "gray";
  ImageTransform transform(options, input({1, 1, 1, 3}), "");
  const std::vector<uint8_t> pixels = {1, 2, 3};
  bool flipped = false;
  for (uint64_t seed = 0; seed < 16; ++seed)
    flipped |= values<float>(transform.from_pixels(pixels, 1, 3, 1, "p",
                                                   Variation{seed})) ==
               std::vector<float>{3, 2, 1};
  CHECK(flipped);
  CHECK(pixels == std::vector<uint8_t>{1, 2, 3});
}

TEST_CASE("image: every other seed flips, and shifts go as far as they may") {
  ImageOptions options;
  options.channels = "gray";
  ImageTransform transform(options, input({1, 1, 1, 3}), "");
  const std::vector<uint8_t> pixels = {1, 2, 3};
  const auto varied = [&](Augmentation augmentation, uint64_t seed) {
    return values<float>(transform.from_pixels(pixels, 1, 3, 1, "p",
                                               Variation{seed, augmentation}));
  };
  int flips = 0;
  std::map<std::vector<float>, int> shifted;
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const auto flipped = varied({.flip = true}, seed);
    flips += flipped == std::vector<float>{3, 2, 1};
    const auto moved = varied({.shift = 1}, seed);
    ++shifted[moved];
    // What is drawn for one does not depend on the other.
    auto both = varied({.flip = true, .shift = 1}, seed);
    if (moved == std::vector<float>{1, 2, 3}) CHECK(both == flipped);
    if (flipped == std::vector<float>{1, 2, 3}) CHECK(both == moved);
  }
  CHECK(flips > 260);
  CHECK(flips < 340);
  // One row: up and down by one leaves black, which is every x = 0.
  CHECK(shifted.size() == 4);
  CHECK(shifted[{0, 0, 0}] > 340);
  for (const auto& row : {std::vector<float>{1, 2, 3}, {0, 1, 2}, {2, 3, 0}}) {
    CHECK(shifted[row] > 30);
    CHECK(shifted[row] < 110);
  }
}

TEST_CASE("image: a crop is a part of the image at the result's size") {
  // Each pixel says where it is, so that corners tell what was taken.
  const Blob image =
      Blob::memory(encoded(".png", 64, 64,
                           [](int y, int x) {
                             return Rgb{static_cast<unsigned char>(2 * x),
                                        static_cast<unsigned char>(2 * y), 7};
                           }),
                   "place.png");
  ImageOptions options;
  options.resize_short = 36;
  options.crop = {{32, 32}};
  ImageTransform transform(options, input({-1, 3, 32, 32}), "");
  double shares = 0;
  constexpr int kSeeds = 200;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Variation variation{seed, {.crop = 0.5}};
    const ir::Tensor tensor = transform.from_encoded(image, variation);
    REQUIRE(tensor.dims() == std::vector<int64_t>{3, 32, 32});
    CHECK(tensor.identical(transform.from_encoded(image, variation)));
    const auto x = values<float>(tensor);
    const float* y = x.data() + 32 * 32;
    // Half a pixel of the result is lost at either end.
    const double width = (x[31] - x[0]) / 2 * 32 / 31;
    const double height = (y[31 * 32] - y[0]) / 2 * 32 / 31;
    const double share = width * height / (64 * 64);
    CHECK(share > 0.45);
    CHECK(share < 1.05);
    shares += share;
    CHECK(x[0] < x[31]);
    CHECK(x.back() == 7);
  }
  CHECK(shares / kSeeds > 0.65);
  CHECK(shares / kSeeds < 0.85);
}

TEST_CASE("image: what is erased is zero in the input, not black") {
  for (const char* layout : {"nchw", "nhwc"}) {
    CAPTURE(layout);
    ImageOptions options;
    options.layout = layout;
    options.mean = {128};
    const bool planes = std::string(layout) == "nchw";
    ImageTransform transform(
        options, planes ? input({1, 3, 40, 50}) : input({1, 40, 50, 3}), "");
    const Blob image =
        Blob::memory(plain_png(40, 50, {200, 150, 100}), "plain.png");
    const auto plain = values<float>(transform.from_encoded(image, {}));
    int erased = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const Variation variation{seed, {.erase = 0.5}};
      const auto tensor =
          values<float>(transform.from_encoded(image, variation));
      const auto region = data::erased_region({50, 40}, 0.5, seed);
      erased += region.has_value();
      int64_t wrong = 0;
      for (int64_t y = 0; y < 40; ++y)
        for (int64_t x = 0; x < 50; ++x) {
          const bool gone = region && x >= region->x && y >= region->y &&
                            x < region->x + region->width &&
                            y < region->y + region->height;
          for (int64_t c = 0; c < 3; ++c) {
            const auto at = static_cast<size_t>(planes ? (c * 40 + y) * 50 + x
                                                       : (y * 50 + x) * 3 + c);
            wrong += tensor[at] != (gone ? 0 : plain[at]);
          }
        }
      CHECK(wrong == 0);
    }
    CHECK(erased > 10);
    CHECK(erased < 30);
  }
}

TEST_CASE("image: what does not decode is named") {
  ImageTransform transform({}, input({1, 3, 2, 3}), "");
  const auto fail = [&](const std::string& bytes) {
    return error_of([&] {
      transform.from_encoded(Blob::memory(bytes, "a.tar: cat/1.jpg"),
                             std::nullopt);
    });
  };
  CHECK(fail("") ==
        "input|a.tar: cat/1.jpg: not a readable JPEG, PNG or BMP image");
  CHECK(fail("GIF89a......") ==
        "input|a.tar: cat/1.jpg: not a readable JPEG, PNG or BMP image");
  const std::string jpeg = encoded(".jpg", 64, 64, ramp);
  CHECK(fail(jpeg.substr(0, jpeg.size() / 2)) ==
        "input|a.tar: cat/1.jpg: the JPEG ends early");
  const std::string png = encoded(".png", 2, 3, ramp);
  CHECK(fail(png.substr(0, 30)) ==
        "input|a.tar: cat/1.jpg: the PNG ends early");
  std::string bmp = encoded(".bmp", 2, 3, ramp);
  bmp[28] = 77;  // bits a pixel
  CHECK(fail(bmp) == "input|a.tar: cat/1.jpg: the image does not decode");
  std::string huge = png;
  huge.replace(16, 8, std::string("\x00\x10\x00\x00\x00\x10\x00\x00", 8));
  CHECK(fail(huge) ==
        "input|a.tar: cat/1.jpg: an image of 1048576x1048576 pixels, expected "
        "at least one and at most 67108864");
}

TEST_CASE("image: sizes that do not fit say what to set") {
  const auto fail = [&](ImageOptions options, ModelInput wanted) {
    return error_of([&] {
      ImageTransform(options, wanted, "d.json:1:2: /image")
          .from_encoded(ramp_png(), std::nullopt);
    });
  };
  CHECK(fail({}, input({1, 3, 224, 224})) ==
        "input|ramp.png: 3x2x3 does not fit input 'x' of shape "
        "float[1,3,224,224] (set image.resize_short and image.crop, or "
        "image.resize, to the input's size)");
  CHECK(fail({}, input({1, 1, 2, 3})) ==
        "input|ramp.png: 3x2x3 does not fit input 'x' of shape "
        "float[1,1,2,3] (set image.channels to \"gray\")");
  CHECK(fail({}, input({1, 224, 224, 3})) ==
        "input|ramp.png: 3x2x3 does not fit input 'x' of shape "
        "float[1,224,224,3] (set image.layout to \"nhwc\")");
  ImageOptions crop;
  crop.crop = {{4, 4}};
  CHECK(fail(crop, input({1, 3, 4, 4})) ==
        "input|ramp.png: is 2x3 (height x width) before the crop to 4x4 (set "
        "image.resize_short to at least the crop's size)");
  ImageOptions mean;
  mean.mean = {1, 2};
  CHECK(fail(mean, input({1, 3, 2, 3})) ==
        "input|d.json:1:2: /image: mean has 2 values for 3 channels");
  CHECK(fail({}, input({1, 3, 2, 3}, ir::DataType::kBool)) ==
        "input|d.json:1:2: /image: input 'x' is of type bool, which cannot "
        "hold pixels");
  CHECK(fail({}, input({1, 3, 2, 3}, ir::DataType::kInt8)) ==
        "input|d.json:1:2: /image: input 'x' is of type int8, which cannot "
        "hold pixels of 0 to 255 (say how they are brought into range, for "
        "example image.mean [128, 128, 128])");
}

TEST_CASE("image: the size in a header is found whatever stands before it") {
  const std::string jpeg = encoded(".jpg", 5, 7, ramp);
  const auto size = data::image_size(jpeg);
  REQUIRE(size);
  CHECK(size->width == 7);
  CHECK(size->height == 5);
  // No prefix of a file crashes or finds another size.
  for (const char* extension : {".jpg", ".png", ".bmp"}) {
    const std::string bytes = encoded(extension, 5, 7, ramp);
    for (size_t length = 0; length < bytes.size(); ++length)
      if (const auto found =
              data::image_size(std::string_view(bytes).substr(0, length)))
        CHECK((found->width == 7 && found->height == 5));
  }
}

}  // namespace
}  // namespace lathe::test
