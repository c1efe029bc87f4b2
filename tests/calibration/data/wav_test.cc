#include "tests/calibration/data/fixtures.h"

namespace lathe::test {
namespace {

std::string number(uint32_t value, int width) {
  std::string bytes;
  for (int k = 0; k < width; ++k)
    bytes += static_cast<char>(value >> (8 * k) & 255);
  return bytes;
}

std::string wav(const std::vector<int16_t>& samples, int channels = 1,
                int rate = 8000, int format = 1, int bits = 16) {
  const std::string data(reinterpret_cast<const char*>(samples.data()),
                         2 * samples.size());
  const std::string header =
      number(static_cast<uint32_t>(format), 2) +
      number(static_cast<uint32_t>(channels), 2) +
      number(static_cast<uint32_t>(rate), 4) +
      number(static_cast<uint32_t>(2 * channels * rate), 4) +
      number(static_cast<uint32_t>(2 * channels), 2) +
      number(static_cast<uint32_t>(bits), 2);
  // A chunk of odd size before the data, as editors write.
  const std::string chunks = "fmt " + number(16, 4) + header + "LIST" +
                             number(3, 4) + std::string("abc\0", 4) + "data" +
                             number(static_cast<uint32_t>(data.size()), 4) +
                             data;
  return "RIFF" + number(static_cast<uint32_t>(4 + chunks.size()), 4) + "WAVE" +
         chunks;
}

TEST_CASE("wav: samples are scaled, cut and padded; classes by name") {
  TempDir dir;
  write_archive(dir.path() / "a.tar.gz", Pack::kTarGz,
                {{"recordings/1_a_0.wav", wav({16384, -32768})},
                 {"recordings/0_b_0.wav", wav({1, 2, 3, 4, 5})}});
  for (const auto& dims :
       {std::vector<int64_t>{-1, 3}, std::vector<int64_t>{-1, 1, 3}}) {
    const auto source = open_text(dir.path(),
                                  R"({"format": "wav", "path": "a.tar.gz",
                      "labels": {"from": "name-prefix"},
                      "audio": {"length": 3, "sample_rate": 8000}})",
                                  image_model(dims));
    CHECK(source->description() == "wav a.tar.gz, 2 classes");
    ReadOptions options;
    options.batch_size = 2;
    const auto batches = read_all(*source, options);
    REQUIRE(batches.size() == 1);
    CHECK(batches[0].labels == std::vector<int64_t>{0, 1});
    CHECK(values<float>(*batches[0].find("x")) ==
          std::vector<float>{1.0f / 32768, 2.0f / 32768, 3.0f / 32768, 0.5f, -1,
                             0});
  }
}

TEST_CASE("wav: several channels come apart") {
  TempDir dir;
  write(dir.path() / "a.wav", wav({1, 10, 2, 20, 3, 30}, 2));
  const auto source = open_text(dir.path(),
                                R"({"format": "wav", "path": "a.wav",
                                    "audio": {"scale": 1}})",
                                image_model({1, 2, -1}));
  CHECK_FALSE(source->has_labels());
  const auto batches = read_all(*source);
  CHECK(batches[0].find("x")->dims() == std::vector<int64_t>{1, 2, 3});
  CHECK(values<float>(*batches[0].find("x")) ==
        std::vector<float>{1, 2, 3, 10, 20, 30});
}

TEST_CASE("wav: what cannot be read is named") {
  TempDir dir;
  const std::string path = (dir.path() / "a.wav").string();
  const auto fail = [&](const std::string& bytes,
                        std::vector<int64_t> dims = {-1, -1},
                        ir::DataType type = ir::DataType::kFloat) {
    write(path, bytes);
    return error_of([&] {
      read_all(*open_text(dir.path(),
                          R"({"format": "wav", "path": "a.wav",
                              "audio": {"sample_rate": 8000}})",
                          image_model(dims, type)));
    });
  };
  CHECK(fail("text") == "input|" + path + ": not a wav file");
  CHECK(fail(wav({1}, 1, 8000, 3, 32)) ==
        "unsupported|" + path +
            ": wav format 3 of 32 bits, expected 1 (PCM) of 16 bits");
  CHECK(fail(wav({1}, 1, 16000)) ==
        "input|" + path +
            ": has 16000 samples a second, expected 8000 (resample the "
            "recordings first)");
  const std::string good = wav({1, 2, 3});
  CHECK(fail(good.substr(0, good.size() - 2)) ==
        "input|" + path + ": holds 4 bytes of sound, its header says 6");
  CHECK(fail(good.substr(0, 30)) ==
        "input|" + path + ": the wav header ends early");
  CHECK(fail(good.substr(0, 40)) ==
        "input|" + path + ": the wav file has no data");
  CHECK(fail(wav({1}, 0)) == "input|" + path + ": has no channels");
  CHECK(fail(good, {-1, 16000}) ==
        "input|" + path +
            ": 3 does not fit input 'x' of shape float[N,16000] (set "
            "audio.length to the input's length)");
  CHECK(fail(good, {-1, 3}, ir::DataType::kInt64) ==
        "input|" + (dir.path() / "data.json").string() +
            ":1:1: input 'x' is of type int64, and sound is given as floats");
}

}  // namespace
}  // namespace lathe::test
