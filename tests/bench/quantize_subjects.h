// Models and samples that both Lathe and its peer are given, as files.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "calibration/latency/bench.h"
#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/base/json.h"
#include "passes/base/random.h"
#include "passes/io/onnx/onnx.h"
#include "passes/ir/shape_inference.h"
#include "recipes/manifest.h"
#include "tests/bench/child_process.h"
#include "tests/support/real_models.h"
#include "tests/support/shared.h"
#include "tests/zoo/zoo.h"

namespace lathe::bench {

namespace fs = std::filesystem;

// Where the random inputs of latency::random_inputs do not do.
struct Special {
  const char* model;  // a real model's file, below the shared folder's models/
  std::map<std::string, int64_t> scalars;  // inputs with a value of their own
  const char* data = "";                   // samples, below the shared folder
  ir::InputShapes shapes = {};
};

inline const Special* find_special(const std::string& name) {
  static const std::vector<Special> kSpecials = {
      {"lm_stories260k/model.onnx",
       {},
       "data/stories260k_tokens/tokens.npy",
       {{"input_ids", {1, 192}}}},
      {"vad_silero/silero_vad.onnx", {{"sr", 16000}}},
  };
  for (const Special& special : kSpecials)
    if (special.model == name) return &special;
  return nullptr;
}

// A real model's file below the shared folder; else empty.
inline fs::path shared_model(const std::string& name) {
  for (const test::RealModel& model : test::real_models())
    if (model.file == name) return test::shared_dir() / "models" / name;
  return {};
}

inline ir::InputShapes known_shapes(const std::string& name) {
  const Special* special = find_special(name);
  if (special && !special->shapes.empty()) return special->shapes;
  for (const test::RealModel& model : test::real_models())
    if (model.file == name) return model.shapes;
  return {};
}

// A model ready for both tools: files in `folder` under fixed names.
struct Subject {
  std::string name;  // of the zoo, of a real model, or a path
  fs::path folder;
  std::string data;        // for --data: data.npz, or what Lathe takes instead
  std::string peer_fails;  // why the peer cannot be fed; empty: peer.npz
  std::vector<std::string> shape_flags;

  fs::path model() const { return folder / "model.onnx"; }
  fs::path result(const std::string& tool) const {
    return folder / (tool + ".onnx");
  }
};

using NamedArrays = std::vector<std::pair<std::string, ir::Tensor>>;

inline std::string npy_bytes(const ir::Tensor& tensor) {
  const bool real = tensor.type() == ir::DataType::kFloat;
  std::string dims;
  for (const int64_t dim : tensor.dims()) dims += fmt::format("{}, ", dim);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                  real ? "<f4" : "<i8", dims);
  constexpr size_t kPrefix = 10, kAlignment = 64;
  while ((kPrefix + header.size() + 1) % kAlignment != 0) header += ' ';
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xFF);
  bytes += static_cast<char>(header.size() >> 8);
  const auto values = tensor.bytes();
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size());
  return bytes;
}

// float32 and int64 arrays, not compressed.
inline void write_npz(const fs::path& path, const NamedArrays& arrays) {
  archive* zip = ::archive_write_new();
  ::archive_write_set_format_zip(zip);
  ::archive_write_zip_set_compression_store(zip);
  bool done = ::archive_write_open_filename(zip, path.c_str()) == ARCHIVE_OK;
  for (const auto& [name, tensor] : arrays) {
    const std::string bytes = npy_bytes(tensor);
    archive_entry* entry = ::archive_entry_new();
    ::archive_entry_set_pathname(entry, (name + ".npy").c_str());
    ::archive_entry_set_size(entry, static_cast<la_int64_t>(bytes.size()));
    ::archive_entry_set_filetype(entry, AE_IFREG);
    ::archive_entry_set_perm(entry, 0644);
    done = done && ::archive_write_header(zip, entry) == ARCHIVE_OK &&
           ::archive_write_data(zip, bytes.data(), bytes.size()) ==
               static_cast<la_ssize_t>(bytes.size());
    ::archive_entry_free(entry);
  }
  done = ::archive_write_close(zip) == ARCHIVE_OK && done;
  ::archive_write_free(zip);
  if (!done) throw Error(ErrorKind::kIo, path.string(), "cannot be written");
}

inline ir::Model load_subject(const std::string& name, fs::path& file) {
  file = shared_model(name);
  if (file.empty() && fs::exists(name)) file = name;
  return file.empty() ? zoo::build_zoo_model(name, /*seed=*/1)
                      : io::import_onnx(file);
}

// What the model is run on, in one thread's bench and as a whole sample.
inline NamedArrays bench_inputs(const ir::Model& model,
                                const std::string& name) {
  NamedArrays inputs = latency::random_inputs(
      model, ir::default_input_shapes(model, known_shapes(name)), /*seed=*/1);
  if (const Special* special = find_special(name))
    for (auto& [input, tensor] : inputs)
      if (const auto found = special->scalars.find(input);
          found != special->scalars.end())
        tensor = ir::Tensor::from_doubles(
            tensor.type(), tensor.dims(),
            std::vector<double>(static_cast<size_t>(tensor.size()),
                                static_cast<double>(found->second)));
  return inputs;
}

// The data for one float input: standard normal, for both tools.
inline void write_samples(const Subject& subject, const std::string& input,
                          std::vector<int64_t> dims, int64_t samples) {
  dims[0] = samples;
  std::vector<float> values(ir::element_count(dims, input));
  Random random(1);
  for (float& value : values) value = static_cast<float>(random.normal());
  const ir::Tensor tensor = ir::Tensor::from<float>(dims, values);
  write_npz(subject.folder / "data.npz", {{input, tensor}});
  write_npz(subject.folder / "peer.npz", {{"x", tensor}});
}

inline std::string why_not_fed(const NamedArrays& inputs) {
  if (inputs.size() != 1)
    return fmt::format("{} inputs, the peer's script feeds one", inputs.size());
  const ir::Tensor& only = inputs[0].second;
  if (only.type() != ir::DataType::kFloat)
    return fmt::format("an input of {}, the peer's script feeds float",
                       ir::to_string(only.type()));
  if (only.rank() == 0 || only.dims()[0] != 1)
    return "an input without a batch of 1, which the peer's script feeds";
  return "";
}

inline void prepare_files(const Subject& subject, int64_t samples) {
  fs::path file;
  const ir::Model model = load_subject(subject.name, file);
  if (file.empty()) {
    io::export_onnx(model, subject.model());
  } else {
    fs::copy_file(file, subject.model());
    for (const fs::path& data : recipes::external_data_files(file))
      fs::copy_file(data, subject.folder / data.filename());
  }
  Json json = {{"shapes", Json::object()}, {"data", "synthetic"}};
  for (const auto& [input, dims] : known_shapes(subject.name))
    json["shapes"][input] = dims;
  const NamedArrays inputs = bench_inputs(model, subject.name);
  json["peer_fails"] = why_not_fed(inputs);
  const Special* special = find_special(subject.name);
  if (json["peer_fails"] == "") {
    write_samples(subject, inputs[0].first, inputs[0].second.dims(), samples);
    json["data"] = (subject.folder / "data.npz").string();
  } else if (special && *special->data) {
    json["data"] = (test::shared_dir() / special->data).string();
  } else if (special) {
    write_npz(subject.folder / "data.npz", inputs);
    json["data"] = (subject.folder / "data.npz").string();
  }
  write_file_atomic(subject.folder / "subject.json", json.dump());
}

// In a process of its own, so that this one stays small. Error kInput when the
// model cannot be had.
inline Subject prepare_subject(const std::string& name, const fs::path& folder,
                               int64_t samples) {
  Subject subject;
  subject.name = name;
  subject.folder = folder;
  fs::create_directories(folder);
  if (!in_child([&] { prepare_files(subject, samples); }))
    throw_input(name, "the model could not be prepared");
  const Json json = Json::parse(read_file(folder / "subject.json"));
  subject.data = json["data"];
  subject.peer_fails = json["peer_fails"];
  for (const auto& [input, dims] : json["shapes"].items())
    subject.shape_flags.insert(
        subject.shape_flags.end(),
        {"--input-shape",
         fmt::format("{}:{}", input,
                     fmt::join(dims.get<std::vector<int64_t>>(), "x"))});
  return subject;
}

}  // namespace lathe::bench
