#include "calibration/data/file_set.h"
#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

// Four images of one colour each, the red part tells which.
Members cats_and_dogs(const std::string& top = "") {
  return {{top + "dog/b.png", plain_png(2, 2, {4, 0, 0})},
          {top + "cat/b.bmp", encoded(".bmp", 2, 2,
                                      [](int, int) {
                                        return Rgb{2, 0, 0};
                                      })},
          {top + "cat/a.PNG", plain_png(2, 2, {1, 0, 0})},
          {top + "cat/._a.png", "resource fork"},
          {top + "dog/.hidden/x.png", "no image"},
          {top + "dog/notes.txt", "no image"},
          {top + "dog/a.png", plain_png(2, 2, {3, 0, 0})}};
}

void write_folder(const fs::path& folder, const Members& members) {
  for (const auto& [name, bytes] : members) write(folder / name, bytes);
}

const char* const kFolder = R"({"format": "image-folder", "path": "images"})";

std::vector<float> first_values(BatchSource& source) {
  std::vector<float> result;
  for (const Batch& batch : read_all(source))
    result.push_back(batch.find("x")->data<float>()[0]);
  return result;
}

TEST_CASE("image-folder: folder, tar and tar.gz give the same samples") {
  TempDir dir;
  write_folder(dir.path() / "folder", cats_and_dogs());
  write_archive(dir.path() / "a.tar", Pack::kTar, cats_and_dogs("./"));
  write_archive(dir.path() / "a.tar.gz", Pack::kTarGz,
                cats_and_dogs("top/train/"));
  // Recognised by content, not by name.
  write_archive(dir.path() / "a.data", Pack::kTarGz, cats_and_dogs());
  for (const char* name : {"folder", "a.tar", "a.tar.gz", "a.data"}) {
    CAPTURE(name);
    const auto source = open_text(
        dir.path(),
        std::string(R"({"format": "image-folder", "path": ")") + name + "\"}",
        image_model({-1, 3, 2, 2}));
    CHECK(source->size() == 4);
    CHECK(source->has_labels());
    CHECK_FALSE(source->is_synthetic());
    CHECK(source->description() ==
          std::string("image-folder ") + name + ", 2 classes");
    CHECK(labels_of(read_all(*source)) == std::vector<int64_t>{0, 0, 1, 1});
    CHECK(first_values(*source) == std::vector<float>{1, 2, 3, 4});
  }
}

TEST_CASE("image-folder: an archive beyond its memory goes to a file") {
  TempDir dir;
  const Members members = cats_and_dogs();
  write_archive(dir.path() / "a.tar", Pack::kTar, members);
  const auto in_memory = data::open_files(dir.path() / "a.tar", {});
  const auto on_disk =
      data::open_files(dir.path() / "a.tar", {}, /*archive_memory_bytes=*/100);
  REQUIRE(in_memory.size() == 5);
  REQUIRE(on_disk.size() == 5);
  for (size_t i = 0; i < 5; ++i) {
    CHECK(in_memory[i].path == on_disk[i].path);
    CHECK(in_memory[i].blob.read_all(1000) == on_disk[i].blob.read_all(1000));
  }
  CHECK(in_memory[0].path == "cat/a.PNG");
  CHECK(in_memory[0].blob.name() ==
        (dir.path() / "a.tar").string() + ": cat/a.PNG");
}

TEST_CASE("image-folder: one folder has no classes, or those that are named") {
  TempDir dir;
  write_folder(dir.path() / "images" / "cat",
               {{"a.png", plain_png(2, 2, {1, 0, 0})},
                {"b.png", plain_png(2, 2, {2, 0, 0})}});
  const ir::Model model = image_model({-1, 3, 2, 2});
  CHECK_FALSE(open_text(dir.path(), kFolder, model)->has_labels());
  const auto named = open_text(dir.path(),
                               R"({"format": "image-folder", "path": "images",
          "labels": {"classes": ["bird", "cat"], "offset": 1}})",
                               model);
  CHECK(labels_of(read_all(*named)) == std::vector<int64_t>{2, 2});
}

TEST_CASE("image-folder: names begin with the class") {
  TempDir dir;
  write_folder(dir.path() / "images",
               {{"7_x.png", plain_png(2, 2, {1, 0, 0})},
                {"010_y.png", plain_png(2, 2, {2, 0, 0})}});
  const auto source = open_text(dir.path(),
                                R"({"format": "image-folder", "path": "images",
                    "labels": {"from": "name-prefix"}})",
                                image_model({-1, 3, 2, 2}));
  CHECK(labels_of(read_all(*source)) == std::vector<int64_t>{10, 7});
}

TEST_CASE("image-folder: a pattern chooses among the files") {
  TempDir dir;
  Members members = cats_and_dogs("train/");
  for (auto& member : cats_and_dogs("test/")) members.push_back(member);
  write_archive(dir.path() / "a.tar", Pack::kTar, members);
  const auto source = open_text(
      dir.path(),
      R"({"format": "image-folder", "path": "a.tar", "files": "test/*"})",
      image_model({-1, 3, 2, 2}));
  CHECK(labels_of(read_all(*source)) == std::vector<int64_t>{0, 0, 1, 1});
}

TEST_CASE("image-folder: limits spread evenly, shuffled ones take the first") {
  TempDir dir;
  for (int i = 0; i < 20; ++i)
    write(dir.path() / "images" / (i < 10 ? "cat" : "dog") /
              (std::to_string(100 + i) + ".png"),
          plain_png(2, 2, {static_cast<unsigned char>(i), 0, 0}));
  const ir::Model model = image_model({-1, 3, 2, 2});
  CHECK(first_values(*open_text(
            dir.path(),
            R"({"format": "image-folder", "path": "images", "limit": 4})",
            model)) == std::vector<float>{0, 5, 10, 15});
  data::OpenOptions four;
  four.limit = 4;
  CHECK(first_values(*open_text(dir.path(), kFolder, model, four)) ==
        std::vector<float>{0, 5, 10, 15});
  const auto shuffled = [&](int seed, int limit,
                            const data::OpenOptions& options) {
    return first_values(*open_text(
        dir.path(),
        R"({"format": "image-folder", "path": "images", "shuffle_seed": )" +
            std::to_string(seed) + ", \"limit\": " + std::to_string(limit) +
            "}",
        model, options));
  };
  auto all = shuffled(3, 100, {});
  CHECK(all.size() == 20);
  CHECK(all != shuffled(4, 100, {}));
  auto ten = shuffled(3, 10, {});
  CHECK(ten == std::vector<float>(all.begin(), all.begin() + 10));
  CHECK(shuffled(3, 10, four) ==
        std::vector<float>(all.begin(), all.begin() + 4));
  std::sort(all.begin(), all.end());
  CHECK(all[19] == 19);
}

TEST_CASE("image-folder: broken sets") {
  TempDir dir;
  const ir::Model model = image_model({-1, 3, 2, 2});
  const std::string root = dir.path().string();
  const auto fail = [&] {
    return error_of([&] { read_all(*open_text(dir.path(), kFolder, model)); });
  };
  CHECK(fail() == "input|" + root + "/data.json:1:36: /path: '" + root +
                      "/images' does not exist");
  fs::create_directories(dir.path() / "images");
  CHECK(fail() == "input|" + root + "/data.json:1:36: /path: '" + root +
                      "/images' holds no .jpg, .png or .bmp file");
  write(dir.path() / "images/cat/a.png", plain_png(2, 2, {1, 0, 0}));
  write(dir.path() / "images/b.png", plain_png(2, 2, {1, 0, 0}));
  CHECK(fail() ==
        "input|" + root +
            "/images/b.png: lies beside the folders of the classes and so "
            "belongs to none (move it into a folder, or say \"labels\": "
            "{\"from\": \"none\"})");
  fs::remove(dir.path() / "images/b.png");
  write(dir.path() / "images/cat/b.png", "no image");
  CHECK(fail() == "input|" + root +
                      "/images/cat/b.png: not a readable JPEG, PNG or BMP "
                      "image");
  write(dir.path() / "images/cat/b.png", plain_png(3, 2, {1, 0, 0}));
  CHECK(fail() == "input|" + root +
                      "/images/cat/b.png: 3x3x2 does not fit input 'x' of "
                      "shape float[N,3,2,2] (set image.resize_short and "
                      "image.crop, or image.resize, to the input's size)");
  // A model that takes any size still cannot take two in one batch.
  CHECK(error_of([&] {
          ReadOptions options;
          options.batch_size = 2;
          read_all(
              *open_text(dir.path(), kFolder, image_model({-1, 3, -1, -1})),
              options);
        }) == "input|" + root +
                  "/images/cat/b.png: gives float[3,3,2] for input 'x', but " +
                  root +
                  "/images/cat/a.png gives float[3,2,2]; they cannot stand in "
                  "one batch (bring all samples to one size: image.resize, "
                  "image.crop or audio.length)");
}

TEST_CASE("image-folder: a broken archive is named") {
  TempDir dir;
  write_archive(dir.path() / "a.tar", Pack::kTar, cats_and_dogs());
  const std::string bytes = slurp(dir.path() / "a.tar");
  write(dir.path() / "images", bytes.substr(0, 700));
  const std::string root = dir.path().string();
  const ir::Model model = image_model({-1, 3, 2, 2});
  // What follows is libarchive's own text.
  CHECK(error_of([&] { open_text(dir.path(), kFolder, model); })
            .starts_with("input|" + root +
                         "/images: the archive is broken: Truncated "));
  write(dir.path() / "images", "no archive at all");
  CHECK(error_of([&] { open_text(dir.path(), kFolder, model); }) ==
        "input|" + root +
            "/images: expected a folder or a tar archive (plain or "
            "compressed)");
}

TEST_CASE("image-list: the csv says which images and labels") {
  TempDir dir;
  write_archive(dir.path() / "a.tar.gz", Pack::kTarGz, cats_and_dogs("top/"));
  write(dir.path() / "labels.csv",
        "label,file,name\n5,dog/a.png,\"a, b\"\n3,./top/cat/b.bmp,c\n");
  const ir::Model model = image_model({-1, 3, 2, 2});
  const auto source = open_text(dir.path(),
                                R"({"format": "image-list", "path": "a.tar.gz",
          "labels": {"csv": "labels.csv", "offset": 1}})",
                                model);
  CHECK(labels_of(read_all(*source)) == std::vector<int64_t>{6, 4});
  CHECK(first_values(*source) == std::vector<float>{3, 2});
  const auto by_name = open_text(dir.path(),
                                 R"({"format": "image-list", "path": "a.tar.gz",
          "labels": {"csv": "labels.csv", "label_column": "name"}})",
                                 model);
  CHECK(labels_of(read_all(*by_name)) == std::vector<int64_t>{0, 1});
}

TEST_CASE("image-list: errors name the line of the csv") {
  TempDir dir;
  write_archive(dir.path() / "a.tar", Pack::kTar, cats_and_dogs());
  const std::string root = dir.path().string();
  const auto fail = [&](const std::string& csv, const std::string& more = "") {
    write(dir.path() / "l.csv", csv);
    return error_of([&] {
      open_text(dir.path(),
                R"({"format": "image-list", "path": "a.tar",
                    "labels": {"csv": "l.csv")" +
                    more + "}}",
                image_model({-1, 3, 2, 2}));
    });
  };
  CHECK(fail("file,lable\n") ==
        "input|" + root + "/l.csv:1: no column 'label'; did you mean 'lable'?");
  CHECK(fail("a,b\n") ==
        "input|" + root + "/l.csv:1: no column 'file'; it has a, b");
  CHECK(fail("file,label\ncat/z.png,1\n") ==
        "input|" + root + "/l.csv:2: 'cat/z.png' is not in '" + root +
            "/a.tar'");
  CHECK(fail("file,label\ncat/a.PNG,1\ndog/a.png,x\n") ==
        "input|" + root +
            "/l.csv:3: expected an integer label as before, found 'x'");
  CHECK(fail("file,label\ncat/a.PNG,0\n", ", \"offset\": -1") ==
        "input|" + root + "/l.csv:2: label -1 is negative after the offset -1");
  CHECK(fail("file,label\ncat/a.PNG,cut\n",
             ", \"classes\": [\"cat\", \"dog\"]") ==
        "input|" + root +
            "/l.csv:2: class 'cut' is not in labels.classes; did you mean "
            "'cat'?");
  CHECK(fail("") == "input|" + root + "/l.csv: the list of labels is empty");
}

TEST_CASE("image-folder: uint8 models get the bytes") {
  TempDir dir;
  write_folder(dir.path() / "images", cats_and_dogs());
  const auto source = open_text(
      dir.path(), kFolder, image_model({-1, 3, 2, 2}, ir::DataType::kUint8));
  ReadOptions options;
  options.batch_size = 4;
  const auto batches = read_all(*source, options);
  const ir::Tensor& x = *batches[0].find("x");
  CHECK(x.dims() == std::vector<int64_t>{4, 3, 2, 2});
  CHECK(values<uint8_t>(x)[12] == 2);
}

TEST_CASE("image-folder: decoding gives the same bytes for any jobs") {
  TempDir dir;
  Members members;
  for (int i = 0; i < 60; ++i)
    members.emplace_back(
        "c" + std::to_string(i % 3) + "/" + std::to_string(i) + ".jpg",
        encoded(".jpg", 17, 23, [&](int y, int x) {
          return Rgb{static_cast<unsigned char>(i * y),
                     static_cast<unsigned char>(7 * x),
                     static_cast<unsigned char>(x * y + i)};
        }));
  write_archive(dir.path() / "a.tar.gz", Pack::kTarGz, members);
  const auto read = [&](int jobs) {
    data::OpenOptions options;
    options.jobs = jobs;
    const auto source =
        open_text(dir.path(),
                  R"({"format": "image-folder", "path": "a.tar.gz",
            "image": {"resize_short": 16, "crop": [16, 16],
                      "augment": {"flip": true, "shift": 2}}})",
                  image_model({-1, 3, 16, 16}), options);
    ReadOptions reading;
    reading.batch_size = 7;
    reading.shuffle_seed = 1;
    reading.augment = true;
    return read_all(*source, reading);
  };
  const auto one = read(1), eight = read(8);
  REQUIRE(one.size() == eight.size());
  for (size_t i = 0; i < one.size(); ++i) {
    CHECK(one[i].labels == eight[i].labels);
    CHECK(one[i].find("x")->identical(*eight[i].find("x")));
  }
}

TEST_CASE("image-folder: a reader varies images beside the descriptor") {
  const TempDir dir;
  for (int i = 0; i < 16; ++i)
    write(dir.path() / "set" / (std::to_string(i) + ".png"),
          encoded(".png", 1, 2, [](int, int x) {
            const auto v = static_cast<unsigned char>(1 + x);
            return Rgb{v, v, v};
          }));
  const auto flips = [&](const std::string& image, const ReadOptions& options) {
    const auto source = open_text(
        dir.path(),
        R"({"format": "image-folder", "path": "set", "labels": {"from": "none"},
            "image": {)" +
            image + "}}",
        image_model({-1, 3, 1, 2}));
    CHECK(source->has_images());
    int count = 0;
    for (const Batch& batch : read_all(*source, options))
      count += values<float>(*batch.find("x"))[0] == 2;
    return count;
  };
  ReadOptions options;
  options.augmentation.flip = true;
  CHECK(flips("", options) == 0);
  options.augment = true;
  const int both = flips("", options);
  CHECK(both > 3);
  CHECK(both < 13);
  options.augmentation = {};
  CHECK(flips("", options) == 0);
  // As the descriptor says, the same.
  CHECK(flips(R"("augment": {"flip": true, "crop": 1, "erase": 0})", options) ==
        both);
}

}  // namespace
}  // namespace lathe::test
