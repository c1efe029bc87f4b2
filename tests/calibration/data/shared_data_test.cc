// The real data sets beside the source tree; each test says when it skips.
#include <chrono>
#include <set>

#include "passes/base/jobs.h"
#include "passes/io/onnx/onnx.h"
#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

std::string descriptor(const char* format, const fs::path& path,
                       const std::string& more = "") {
  return std::string(R"({"format": ")") + format + R"(", "path": ")" +
         path.string() + "\"" + more + "}";
}

// Samples a second, and the labels, of one pass.
std::vector<int64_t> timed(BatchSource& source, const char* what) {
  ReadOptions options;
  options.batch_size = 64;
  const auto start = std::chrono::steady_clock::now();
  const auto labels = labels_of(read_all(source, options));
  const std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - start;
  const auto speed =
      static_cast<int64_t>(static_cast<double>(source.size()) / spent.count());
  MESSAGE(std::string(what)
          << ": " << source.size() << " samples, " << speed << " a second with "
          << effective_jobs(0) << " jobs");
  return labels;
}

constexpr const char* kImage32 =
    R"(, "image": {"scale": 0.00392156862745098,
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]})";

TEST_CASE("shared: CIFAR-10 JPEG in tar.gz") {
  const fs::path path =
      shared_file("data/cifar10/cifar10_jpeg_test_dev5k.tar.gz");
  if (path.empty()) return;
  TempDir dir;
  const ir::Model model = image_model({-1, 3, 32, 32});
  const auto source =
      open_text(dir.path(), descriptor("image-folder", path, kImage32), model);
  CHECK(source->size() == 5000);
  CHECK(source->description() ==
        "image-folder cifar10_jpeg_test_dev5k.tar.gz, 10 classes");
  const auto labels = timed(*source, "CIFAR-10 JPEG");
  for (int64_t label = 0; label < 10; ++label)
    CHECK(std::count(labels.begin(), labels.end(), label) == 500);
  CHECK(std::is_sorted(labels.begin(), labels.end()));

  // The decoded test images are a data file of their own; both decoders agree
  // on the first record's pixels to a few levels.
  const fs::path decoded =
      shared_file("data/cifar10/cifar10_jpegdec_test_dev1k.bin.gz");
  if (decoded.empty()) return;
  const auto binary =
      open_text(dir.path(), descriptor("cifar-binary", decoded), model);
  CHECK(binary->size() == 1000);
  const auto raw =
      open_text(dir.path(), descriptor("image-folder", path), model);
  const auto first =
      values<float>(*raw->read(ReadOptions{})->next()->find("x"));
  int64_t matches = 0;
  for (const Batch& batch : read_all(*binary)) {
    if (batch.labels[0] != 0) continue;
    const auto other = values<float>(*batch.find("x"));
    float most = 0;
    for (size_t i = 0; i < other.size(); ++i)
      most = std::max(most, std::abs(other[i] - first[i]));
    matches += most <= 4;
  }
  CHECK(matches == 1);
}

TEST_CASE("shared: Fashion-MNIST idx") {
  const fs::path images =
      shared_file("data/fashion-mnist/t10k-first5k-images-idx3-ubyte.gz");
  const fs::path labels =
      shared_file("data/fashion-mnist/t10k-first5k-labels-idx1-ubyte.gz");
  if (images.empty() || labels.empty()) return;
  TempDir dir;
  const auto source = open_text(
      dir.path(),
      descriptor("idx", images, R"(, "labels": ")" + labels.string() + "\""),
      image_model({-1, 1, 28, 28}));
  CHECK(source->size() == 5000);
  const auto found = timed(*source, "Fashion-MNIST");
  // The published order of the test set begins so.
  CHECK(std::vector<int64_t>(found.begin(), found.begin() + 5) ==
        std::vector<int64_t>{9, 2, 1, 1, 6});
  CHECK(std::set<int64_t>(found.begin(), found.end()).size() == 10);
}

TEST_CASE("shared: spoken digits") {
  const fs::path path =
      shared_file("data/free_spoken_digits/fsdd_jackson_nicolas_theo.tar.gz");
  if (path.empty()) return;
  TempDir dir;
  const auto source =
      open_text(dir.path(),
                descriptor("wav", path, R"(, "labels": {"from": "name-prefix"},
                  "audio": {"length": 4000, "sample_rate": 8000})"),
                image_model({-1, 1, 4000}));
  CHECK(source->size() == 1500);
  const auto labels = timed(*source, "spoken digits");
  for (int64_t label = 0; label < 10; ++label)
    CHECK(std::count(labels.begin(), labels.end(), label) == 150);
  for (const float value : values<float>(*source->read({})->next()->find("x")))
    CHECK((value >= -1 && value < 1));
}

TEST_CASE("shared: tokens") {
  const fs::path path = shared_file("data/stories260k_tokens/tokens.npy");
  if (path.empty()) return;
  const auto source = data::open_data(
      path.string(), image_model({-1, -1}, ir::DataType::kInt64), {});
  CHECK(source->size() == 48);
  const Batch batch = *source->read({})->next();
  CHECK(batch.find("x")->dims() == std::vector<int64_t>{1, 192});
  const auto tokens = values<int64_t>(*batch.find("x"));
  CHECK(tokens[0] == 1);
  CHECK(tokens[1] == 403);
  for (const int64_t token : tokens) CHECK((token >= 0 && token < 512));
}

TEST_CASE("shared: ImageNet sample by list") {
  const fs::path folder = shared_file("data/imagenet_sample_256");
  if (folder.empty()) return;
  TempDir dir;
  const auto source = open_text(
      dir.path(),
      descriptor("image-list", folder / "images",
                 R"(, "labels": {"csv": ")" + (folder / "labels.csv").string() +
                     R"(", "offset": 1},
                  "image": {"resize_short": 256, "crop": [224, 224],
                            "scale": 0.00784313725490196, "mean": [1]},
                  "limit": 100)"),
      image_model({-1, 3, 224, 224}));
  CHECK(source->size() == 100);
  const auto labels = timed(*source, "ImageNet sample");
  CHECK(labels[0] == 1);
  CHECK(std::set<int64_t>(labels.begin(), labels.end()).size() == 100);
}

TEST_CASE("shared: every model's own test cases open") {
  const fs::path models = shared_file("models");
  if (models.empty()) return;
  int opened = 0;
  for (const auto& entry : fs::directory_iterator(models)) {
    const fs::path model = entry.path() / "model.onnx";
    if (!fs::exists(model) || !fs::exists(entry.path() / "test_data_set_0"))
      continue;
    CAPTURE(entry.path().string());
    const auto source =
        data::open_data(entry.path().string(), io::import_onnx(model), {});
    CHECK(source->size() > 0);
    CHECK(source->read({})->next());
    ++opened;
  }
  CHECK(opened >= 10);
}

}  // namespace
}  // namespace lathe::test
