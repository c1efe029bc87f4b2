// Small files and models for the tests of the data room, made on the spot.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <vector>

#include "calibration/data/data.h"
#include "passes/base/error.h"
#include "tests/support/shared.h"

namespace lathe::test {

namespace fs = std::filesystem;

// A model with inputs and nothing else. Dimensions: -1 is the symbol "N".
struct InputSpec {
  std::string name;
  ir::DataType type = ir::DataType::kFloat;
  std::vector<int64_t> dims;
};

inline ir::Model model_with(const std::vector<InputSpec>& inputs) {
  ir::Model model;
  for (const InputSpec& input : inputs) {
    ir::ValueType type;
    type.elem = input.type;
    type.shape.emplace();
    for (const int64_t dim : input.dims)
      type.shape->push_back(dim < 0 ? ir::Dim::named("N") : ir::Dim(dim));
    model.graph->add_input(input.name, type);
  }
  return model;
}

inline ir::Model image_model(std::vector<int64_t> dims,
                             ir::DataType type = ir::DataType::kFloat) {
  return model_with({{"x", type, std::move(dims)}});
}

inline void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  REQUIRE(file.good());
}

inline std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// An image whose pixel at (y, x) is (r, g, b) = f(y, x).
template <class F>
std::string encoded(const char* extension, int height, int width, F f) {
  cv::Mat image(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const auto [r, g, b] = f(y, x);
      image.at<cv::Vec3b>(y, x) = cv::Vec3b(b, g, r);
    }
  std::vector<unsigned char> bytes;
  REQUIRE(cv::imencode(extension, image, bytes));
  return {bytes.begin(), bytes.end()};
}

struct Rgb {
  unsigned char r, g, b;
};

inline std::string plain_png(int height, int width, Rgb colour) {
  return encoded(".png", height, width, [&](int, int) { return colour; });
}

inline std::string gzip(const std::string& bytes) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8,
                       Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

using Members = std::vector<std::pair<std::string, std::string>>;

enum class Pack { kTar, kTarGz, kZip, kZipStored };

inline void write_archive(const fs::path& path, Pack pack,
                          const Members& members) {
  archive* out = archive_write_new();
  if (pack == Pack::kTarGz) archive_write_add_filter_gzip(out);
  if (pack == Pack::kTar || pack == Pack::kTarGz) {
    archive_write_set_format_pax_restricted(out);
  } else {
    archive_write_set_format_zip(out);
    archive_write_set_options(
        out, pack == Pack::kZip ? "compression=deflate" : "compression=store");
  }
  REQUIRE(archive_write_open_filename(out, path.c_str()) == ARCHIVE_OK);
  for (const auto& [name, bytes] : members) {
    archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, name.c_str());
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    REQUIRE(archive_write_header(out, entry) == ARCHIVE_OK);
    archive_write_data(out, bytes.data(), bytes.size());
    archive_entry_free(entry);
  }
  archive_write_close(out);
  archive_write_free(out);
}

// Every batch of a source.
inline std::vector<Batch> read_all(BatchSource& source,
                                   const ReadOptions& options = {}) {
  std::vector<Batch> batches;
  const auto reader = source.read(options);
  while (std::optional<Batch> batch = reader->next())
    batches.push_back(std::move(*batch));
  return batches;
}

inline std::vector<int64_t> labels_of(const std::vector<Batch>& batches) {
  std::vector<int64_t> labels;
  for (const Batch& batch : batches)
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  return labels;
}

template <class T>
std::vector<T> values(const ir::Tensor& tensor) {
  const auto data = tensor.data<T>();
  return {data.begin(), data.end()};
}

// What an expression throws: "kind|message".
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return std::string(to_string(error.kind())) + "|" + error.what();
  }
  return "no error";
}

// Writes a descriptor into `folder` and opens it.
inline std::unique_ptr<BatchSource> open_text(
    const fs::path& folder, const std::string& descriptor,
    const ir::Model& model, const data::OpenOptions& options = {}) {
  write(folder / "data.json", descriptor);
  return data::open_data((folder / "data.json").string(), model, options);
}

}  // namespace lathe::test
