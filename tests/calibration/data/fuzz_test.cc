// Files with changed bytes: they open or give one of our errors, and no other.
#include "passes/base/random.h"
#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

// Changes, cuts or doubles a part of the bytes.
std::string broken(std::string bytes, Random& random) {
  for (uint64_t k = 1 + random.below(4); k > 0 && !bytes.empty(); --k) {
    const size_t at = random.below(bytes.size());
    switch (random.below(4)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.insert(at, bytes.substr(at, random.below(40)));
        break;
      default:
        bytes[at] = static_cast<char>(random.below(256));
    }
  }
  return bytes;
}

void try_broken(const std::string& good, const std::string& descriptor,
                const ir::Model& model, int rounds) {
  TempDir dir;
  Random random(11);
  int failed = 0;
  for (int round = 0; round < rounds; ++round) {
    write(dir.path() / "file", broken(good, random));
    const std::string result =
        error_of([&] { read_all(*open_text(dir.path(), descriptor, model)); });
    CHECK_FALSE(result.starts_with("internal"));
    failed += result != "no error";
  }
  CHECK(failed > 0);
}

TEST_CASE("fuzz: tar and tar.gz of images") {
  TempDir dir;
  const Members members = {
      {"a/1.png", plain_png(4, 4, {1, 2, 3})},
      {"b/2.jpg", encoded(".jpg", 4, 4,
                          [](int y, int x) {
                            const auto v =
                                static_cast<unsigned char>(16 * y + x);
                            return Rgb{v, v, v};
                          })},
      {"b/3.bmp", encoded(".bmp", 4, 4, [](int, int) {
         return Rgb{1, 2, 3};
       })}};
  for (const Pack pack : {Pack::kTar, Pack::kTarGz}) {
    write_archive(dir.path() / "a", pack, members);
    try_broken(slurp(dir.path() / "a"),
               R"({"format": "image-folder", "path": "file",
                   "image": {"resize": [4, 4]}})",
               image_model({-1, 3, 4, 4}), 200);
  }
}

TEST_CASE("fuzz: npz") {
  TempDir dir;
  const std::string npy =
      std::string("\x93NUMPY\x01\x00\x3a\x00", 10) +
      "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}\n" +
      std::string(16, '\0');
  for (const Pack pack : {Pack::kZip, Pack::kZipStored}) {
    write_archive(dir.path() / "a", pack, {{"x.npy", npy}});
    const std::string good = slurp(dir.path() / "a");
    write(dir.path() / "file", good);
    CHECK(data::open_data((dir.path() / "file").string(), image_model({-1, 2}),
                          {})
              ->size() == 2);
    try_broken(good, R"({"format": "npz", "path": "file"})",
               image_model({-1, 2}), 200);
  }
}

TEST_CASE("fuzz: idx, plain and compressed") {
  const std::string good =
      std::string("\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02", 16) +
      "abcdefgh";
  for (const std::string& bytes : {good, gzip(good)})
    try_broken(bytes, R"({"format": "idx", "path": "file"})",
               image_model({-1, 1, 2, 2}), 300);
}

TEST_CASE("fuzz: wav") {
  TempDir dir;
  const std::string good =
      std::string(
          "RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0"
          "\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0",
          44) +
      "abcdefgh";
  Random random(5);
  int failed = 0;
  for (int round = 0; round < 300; ++round) {
    write(dir.path() / "a.wav", broken(good, random));
    const std::string result = error_of([&] {
      read_all(*open_text(dir.path(), R"({"format": "wav", "path": "a.wav"})",
                          image_model({-1, 4})));
    });
    CHECK_FALSE(result.starts_with("internal"));
    failed += result != "no error";
  }
  CHECK(failed > 0);
}

TEST_CASE("fuzz: descriptors") {
  TempDir dir;
  const std::string good =
      R"({"format": "image-folder", "path": "images", "labels": {"from":
      "folder", "classes": ["a", "b"]}, "image": {"resize_short": 8, "crop":
      [4, 4], "mean": [0.5], "std": [0.5]}, "limit": 5, "shuffle_seed": 1})";
  write(dir.path() / "images/a/1.png", plain_png(8, 8, {1, 2, 3}));
  write(dir.path() / "images/b/1.png", plain_png(8, 8, {1, 2, 3}));
  Random random(5);
  for (int round = 0; round < 1000; ++round) {
    const std::string result = error_of([&] {
      read_all(*open_text(dir.path(), broken(good, random),
                          image_model({-1, 3, 4, 4})));
    });
    CHECK_FALSE(result.starts_with("internal"));
  }
}

}  // namespace
}  // namespace lathe::test
