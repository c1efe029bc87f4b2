#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

// A CIFAR record: red i, green i + 1, blue i + 2 in the first pixel, zeros
// after.
std::string record(int label, int i, int label_bytes = 1) {
  std::string bytes(static_cast<size_t>(label_bytes) - 1, '\x09');
  bytes += static_cast<char>(label);
  std::string pixels(3072, '\0');
  for (int c = 0; c < 3; ++c)
    pixels[static_cast<size_t>(1024 * c)] = static_cast<char>(i + c);
  return bytes + pixels;
}

TEST_CASE("cifar-binary: plain, compressed and packed files") {
  TempDir dir;
  const std::string first = record(3, 10) + record(7, 20);
  write(dir.path() / "one.bin", first);
  write(dir.path() / "one.bin.gz", gzip(first));
  write_archive(dir.path() / "one.tar.gz", Pack::kTarGz,
                {{"cifar/data_batch_1.bin", record(3, 10)},
                 {"cifar/data_batch_2.bin", record(7, 20)},
                 {"cifar/test_batch.bin", record(1, 1)},
                 {"cifar/readme.html", "text"}});
  for (const char* path : {"\"one.bin\"", "\"one.bin.gz\"",
                           "\"one.tar.gz\", \"files\": \"*/data_batch_*\""}) {
    CAPTURE(path);
    const auto source = open_text(
        dir.path(),
        std::string(R"({"format": "cifar-binary", "path": )") + path + "}",
        image_model({-1, 3, 32, 32}));
    ReadOptions options;
    options.batch_size = 2;
    const auto batches = read_all(*source, options);
    REQUIRE(batches.size() == 1);
    CHECK(batches[0].labels == std::vector<int64_t>{3, 7});
    const auto x = values<float>(*batches[0].find("x"));
    CHECK(x[0] == 10);
    CHECK(x[1] == 0);
    CHECK(x[1024] == 11);
    CHECK(x[2048] == 12);
    CHECK(x[3072] == 20);
  }
}

TEST_CASE("cifar-binary: CIFAR-100 gives the fine label") {
  TempDir dir;
  write(dir.path() / "train.bin", record(77, 5, 2));
  const auto source =
      open_text(dir.path(), R"({"format": "cifar-binary", "path": "train.bin",
                      "image": {"channels": "bgr"}})",
                image_model({-1, 3, 32, 32}));
  const auto batches = read_all(*source);
  CHECK(batches[0].labels == std::vector<int64_t>{77});
  CHECK(values<float>(*batches[0].find("x"))[0] == 7);
}

TEST_CASE("cifar-binary: a file of another size") {
  TempDir dir;
  write(dir.path() / "a.bin", std::string(100, 'x'));
  CHECK(error_of([&] {
          open_text(dir.path(),
                    R"({"format": "cifar-binary", "path": "a.bin"})",
                    image_model({-1, 3, 32, 32}));
        }) == "input|" + (dir.path() / "a.bin").string() +
                  ": has 100 bytes, expected records of 3073 (CIFAR-10) or "
                  "3074 (CIFAR-100)");
}

std::string idx(const std::vector<int>& dims, const std::string& elements) {
  std::string bytes("\0\0\x08", 3);
  bytes += static_cast<char>(dims.size());
  for (const int dim : dims) {
    bytes += std::string(2, '\0');
    bytes += static_cast<char>(dim >> 8);
    bytes += static_cast<char>(dim & 255);
  }
  return bytes + elements;
}

TEST_CASE("idx: images and labels, plain and compressed") {
  TempDir dir;
  std::string pixels;
  for (int i = 0; i < 12; ++i) pixels += static_cast<char>(20 * i);
  write(dir.path() / "images", idx({2, 2, 3}, pixels));
  write(dir.path() / "images.gz", gzip(idx({2, 2, 3}, pixels)));
  write(dir.path() / "labels.gz", gzip(idx({2}, "\x04\x09")));
  for (const char* name : {"images", "images.gz"})
    for (const auto& dims :
         {std::vector<int64_t>{-1, 1, 2, 3}, std::vector<int64_t>{-1, 2, 3},
          std::vector<int64_t>{-1, 6}}) {
      const auto source =
          open_text(dir.path(),
                    std::string(R"({"format": "idx", "labels": "labels.gz",
                          "image": {"scale": 0.5}, "path": ")") +
                        name + "\"}",
                    image_model(dims));
      ReadOptions options;
      options.batch_size = 2;
      const auto batches = read_all(*source, options);
      REQUIRE(batches.size() == 1);
      CHECK(batches[0].labels == std::vector<int64_t>{4, 9});
      const ir::Tensor& x = *batches[0].find("x");
      CHECK(x.rank() == static_cast<int64_t>(dims.size()));
      CHECK(values<float>(x) == std::vector<float>{0, 10, 20, 30, 40, 50, 60,
                                                   70, 80, 90, 100, 110});
    }
}

TEST_CASE("idx: gray images for a model of three channels") {
  TempDir dir;
  write(dir.path() / "images", idx({1, 1, 2}, "\x05\x06"));
  const auto source =
      open_text(dir.path(), R"({"format": "idx", "path": "images",
                                "image": {"channels": "rgb"}})",
                image_model({1, 3, 1, 2}));
  CHECK_FALSE(source->has_labels());
  CHECK(values<float>(*read_all(*source)[0].find("x")) ==
        std::vector<float>{5, 6, 5, 6, 5, 6});
}

TEST_CASE("idx: broken files") {
  TempDir dir;
  const std::string root = dir.path().string();
  const auto fail = [&](const std::string& bytes,
                        const std::string& labels = "") {
    write(dir.path() / "images", bytes);
    if (!labels.empty()) write(dir.path() / "labels", labels);
    return error_of([&] {
      open_text(dir.path(),
                labels.empty() ? R"({"format": "idx", "path": "images"})"
                               : R"({"format": "idx", "path": "images",
                          "labels": "labels"})",
                image_model({1, 1, 1, 2}));
    });
  };
  const std::string one = idx({1, 1, 2}, "\x05\x06");
  CHECK(fail("") == "input|" + root + "/images: not an idx file");
  CHECK(fail("text") == "input|" + root + "/images: not an idx file");
  CHECK(fail(std::string("\0\0\x0d\x03", 4)) ==
        "unsupported|" + root +
            "/images: idx elements of type 0x0d, expected 0x08 (uint8)");
  CHECK(fail(one.substr(0, one.size() - 1)) ==
        "input|" + root +
            "/images: holds 1 elements, its header says 2 (1x1x2)");
  CHECK(fail(one.substr(0, 9)) ==
        "input|" + root + "/images: ends at byte 9, expected 16");
  CHECK(fail(idx({2}, "ab")) ==
        "input|" + root +
            "/images: holds 2, expected images: count x height x width, or "
            "with 1 or 3 channels after that");
  CHECK(fail(one, idx({2}, "ab")) ==
        "input|" + root + "/labels: has 2 labels for 1 images");
  const std::string packed = gzip(one);
  CHECK(fail(packed.substr(0, packed.size() - 9)) ==
        "input|" + root + "/images: the gzip data ends early");
  CHECK(fail("\x1f\x8b nonsense that is long enough") ==
        "input|" + root +
            "/images: the gzip data is broken: unknown compression method");
  // Sizes whose product is beyond any memory.
  std::string huge = one;
  huge.replace(4, 12, std::string(12, '\xff'));
  CHECK(fail(huge).starts_with("input|"));
}

}  // namespace
}  // namespace lathe::test
