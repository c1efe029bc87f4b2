#include "calibration/data/data.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "calibration/data/descriptor.h"
#include "calibration/data/file_set.h"
#include "calibration/data/model_input.h"
#include "calibration/data/sample_set.h"
#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

namespace fs = std::filesystem;

// A share of the set's samples. Shuffled: the first ones. In the set's own
// order: evenly spread, for files mostly lie sorted by class.
std::shared_ptr<const SampleSet> limited(std::shared_ptr<const SampleSet> set,
                                         int64_t limit,
                                         std::optional<uint64_t> shuffle_seed) {
  const int64_t count = set->size();
  const int64_t taken = limit > 0 ? std::min(limit, count) : count;
  if (taken == count && !shuffle_seed) return set;
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (shuffle_seed) {
    Random(derive_seed(*shuffle_seed, "data set")).shuffle(order);
  } else {
    for (int64_t i = 0; i < taken; ++i)
      order[static_cast<size_t>(i)] = static_cast<int64_t>(
          static_cast<unsigned __int128>(i) * static_cast<uint64_t>(count) /
          static_cast<uint64_t>(taken));
  }
  order.resize(static_cast<size_t>(taken));
  return subset(std::move(set), std::move(order));
}

std::unique_ptr<BatchSource> open(const Descriptor& descriptor,
                                  const ir::Model& model,
                                  const OpenOptions& options) {
  const Format* format = find_format(descriptor.format);
  std::error_code ignored;
  if (*format->path_kind != '\0' && !fs::exists(descriptor.path, ignored))
    throw_input(descriptor.where("path"),
                fmt::format("'{}' does not exist", descriptor.path.string()));
  const OpenContext context{
      descriptor, model_inputs(model, options.input_shapes), model, options};
  std::shared_ptr<const SampleSet> set;
  try {
    set = format->open(context);
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kIo, descriptor.path.string(),
                "cannot be read: " + error.code().message());
  }
  set = limited(std::move(set), descriptor.limit, descriptor.shuffle_seed);
  if (set->size() == 0)
    throw_input(descriptor.where("path"),
                fmt::format("'{}' holds no samples", descriptor.path.string()));
  // With a shuffle of its own the set is mixed already: the first ones do.
  if (options.limit > 0 && options.limit < set->size()) {
    if (descriptor.shuffle_seed) {
      std::vector<int64_t> first(static_cast<size_t>(options.limit));
      std::iota(first.begin(), first.end(), 0);
      set = subset(std::move(set), std::move(first));
    } else {
      set = limited(std::move(set), options.limit, std::nullopt);
    }
  }
  return make_source(std::move(set), options.jobs);
}

bool starts_with(const fs::path& path, std::string_view magic) {
  std::ifstream file(path, std::ios::binary);
  std::string head(magic.size(), '\0');
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  return file && head == magic;
}

bool holds_test_cases(const fs::path& folder) {
  for (const fs::path& file : list_files(folder)) {
    const std::string name = file.filename().string();
    if (name.starts_with("input_") && name.ends_with(".pb")) return true;
  }
  return false;
}

// A descriptor that fits what lies at `path` and the model's input.
std::string descriptor_to_start_from(const fs::path& path,
                                     const ir::Model& model) {
  const auto any = [&](std::vector<std::string> endings) {
    if (!fs::is_directory(path) && !is_tar(path)) {
      return FileFilter{std::move(endings), ""}.accepts(
          path.filename().string());
    }
    return !open_files(path, FileFilter{std::move(endings), ""}).empty();
  };
  Json text = {{"format", "image-folder"},
               {"path", fs::absolute(path).lexically_normal().string()}};
  if (any({".wav"})) {
    text["format"] = "wav";
    text["labels"] = {{"from", "folder"}};
    text["audio"] = {{"length", 16000}, {"scale", 1.0 / 32768}};
    return text.dump();
  }
  if (path.filename().string().find("idx") != std::string::npos) {
    text["format"] = "idx";
    text["labels"] = "labels-idx1-ubyte.gz";
  } else if (any({".bin", ".bin.gz"})) {
    text["format"] = "cifar-binary";
  }
  Json image;
  const std::vector<ModelInput> inputs = model_inputs(model, {});
  if (inputs.size() == 1 && inputs[0].dims && inputs[0].dims->size() == 4) {
    const auto& dims = *inputs[0].dims;
    const bool nhwc = dims[3] == 1 || dims[3] == 3;
    const size_t rows = nhwc ? 1 : 2;
    if (dims[rows] > 0 && dims[rows + 1] > 0) {
      image["resize_short"] = std::max(dims[rows], dims[rows + 1]);
      image["crop"] = {dims[rows], dims[rows + 1]};
    }
    image["channels"] = dims[nhwc ? 3 : 1] == 1 ? "gray" : "rgb";
    image["layout"] = nhwc ? "nhwc" : "nchw";
  } else {
    image["channels"] = "rgb";
  }
  image["scale"] = 1.0 / 255;
  image["mean"] = {0};
  image["std"] = {1};
  text["image"] = image;
  return text.dump();
}

// The descriptor of a path that says everything itself; nullopt for others.
std::optional<Descriptor> self_describing(const std::string& spec) {
  Descriptor result;
  if (spec == "synthetic") {
    result.format = "synthetic";
    return result;
  }
  result.path = spec;
  if (fs::is_directory(spec)) {
    if (!holds_test_cases(spec)) return std::nullopt;
    result.format = "onnx-testcase";
  } else if (starts_with(spec, "PK\x03\x04") ||
             starts_with(spec, "PK\x05\x06")) {
    result.format = "npz";
  } else if (starts_with(spec, "\x93NUMPY")) {
    result.format = "npy";
  } else {
    return std::nullopt;
  }
  return result;
}

bool is_json(const fs::path& path) {
  return !fs::is_directory(path) && path.extension() == ".json";
}

void require_exists(const std::string& spec) {
  std::error_code ignored;
  if (spec != "synthetic" && !fs::exists(spec, ignored))
    throw Error(ErrorKind::kInput, spec, "no such file or folder",
                "name a data descriptor, an .npz, a folder of ONNX test cases, "
                "or 'synthetic'");
}

}  // namespace

std::unique_ptr<BatchSource> open_data(const std::string& spec,
                                       const ir::Model& model,
                                       const OpenOptions& options) {
  require_exists(spec);
  if (is_json(spec)) {
    const JsonText text = JsonText::read(spec);
    return open_descriptor(text, "", fs::path(spec).parent_path(), model,
                           options);
  }
  if (const std::optional<Descriptor> descriptor = self_describing(spec))
    return open(*descriptor, model, options);
  throw Error(ErrorKind::kUsage, spec,
              "does not say by itself how it is to be read",
              "write a data descriptor, for example data.json with " +
                  descriptor_to_start_from(spec, model) + ", and name that");
}

std::unique_ptr<BatchSource> open_descriptor(const JsonText& text,
                                             const std::string& pointer,
                                             const fs::path& folder,
                                             const ir::Model& model,
                                             const OpenOptions& options) {
  return open(parse_descriptor(text, pointer, folder), model, options);
}

std::vector<fs::path> descriptor_files(const JsonText& text,
                                       const std::string& pointer,
                                       const fs::path& folder) {
  const Descriptor descriptor = parse_descriptor(text, pointer, folder);
  std::vector<fs::path> files;
  if (!descriptor.path.empty()) files = list_files(descriptor.path);
  if (!descriptor.labels.csv.empty()) files.push_back(descriptor.labels.csv);
  if (!descriptor.labels_file.empty()) files.push_back(descriptor.labels_file);
  return files;
}

std::vector<fs::path> input_files(const std::string& spec) {
  require_exists(spec);
  if (spec == "synthetic") return {};
  if (!is_json(spec)) return list_files(spec);
  const JsonText text = JsonText::read(spec);
  std::vector<fs::path> files = {spec};
  for (fs::path& file :
       descriptor_files(text, "", fs::path(spec).parent_path()))
    files.push_back(std::move(file));
  return files;
}

}  // namespace lathe::data
