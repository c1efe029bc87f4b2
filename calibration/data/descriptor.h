// A data descriptor, read and checked; and what a format's file gets to see.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "calibration/data/data.h"
#include "calibration/data/image.h"
#include "calibration/data/model_input.h"
#include "calibration/data/sample_set.h"
#include "passes/base/json.h"

namespace lathe::data {

// "labels" where it is an object.
struct LabelRules {
  std::string from = "folder";  // "folder", "name-prefix", "none" or "csv"
  std::filesystem::path csv;
  std::string file_column = "file", label_column = "label";
  int64_t offset = 0;                // added to every label
  std::vector<std::string> classes;  // names in order; empty: sorted
};

struct AudioOptions {
  std::optional<int64_t> length;  // samples a channel: cut or padded with zeros
  double scale = 1.0 / 32768;
  std::optional<int64_t> sample_rate;  // that every file must have
};

class Descriptor {
 public:
  std::string format;
  std::filesystem::path path;  // empty for formats without files
  std::string files;           // shell pattern; "" is all
  LabelRules labels;
  std::filesystem::path labels_file;  // "labels" where it is a path
  std::optional<std::string> input;
  ImageOptions image;
  AudioOptions audio;
  int64_t count = 0;  // procedural; 0: its default
  uint64_t seed = 0;
  int64_t limit = 0;  // 0: all
  std::optional<uint64_t> shuffle_seed;

  // Where a key stands, for messages: "file:line:column: /pointer/key"; the
  // path itself where the data was named without a descriptor.
  std::string where(const std::string& key) const;

 private:
  friend Descriptor parse_descriptor(const JsonText&, const std::string&,
                                     const std::filesystem::path&);
  std::vector<std::pair<std::string, std::string>> places_;
};

// Error kInput with every mistake, one a line.
Descriptor parse_descriptor(const JsonText& text, const std::string& pointer,
                            const std::filesystem::path& folder);

struct OpenContext {
  const Descriptor& descriptor;
  std::vector<ModelInput> inputs;
  const ir::Model& model;
  const OpenOptions& options;
};

// What "labels" may be for a format.
enum class LabelForm { kNone, kRules, kFile };

// One row a format.
struct Format {
  const char* name;
  const char* path_kind;   // what "path" names; "" for a format without files
  bool image = false;      // takes "image"
  bool audio = false;      // takes "audio"
  bool files = false;      // takes "files"
  bool generated = false;  // takes "count" and "seed"
  LabelForm labels = LabelForm::kNone;
  std::shared_ptr<const SampleSet> (*open)(const OpenContext&) = nullptr;
};

std::span<const Format> formats();
const Format* find_format(const std::string& name);

// The rows' functions, one file each.
std::shared_ptr<const SampleSet> open_image_folder(const OpenContext&);
std::shared_ptr<const SampleSet> open_image_list(const OpenContext&);
std::shared_ptr<const SampleSet> open_cifar_binary(const OpenContext&);
std::shared_ptr<const SampleSet> open_idx(const OpenContext&);
std::shared_ptr<const SampleSet> open_npy(const OpenContext&);
std::shared_ptr<const SampleSet> open_npz(const OpenContext&);
std::shared_ptr<const SampleSet> open_wav(const OpenContext&);
std::shared_ptr<const SampleSet> open_onnx_testcase(const OpenContext&);
std::shared_ptr<const SampleSet> open_procedural(const OpenContext&);
std::shared_ptr<const SampleSet> open_synthetic(const OpenContext&);

}  // namespace lathe::data
