// Formats "npy" and "npz": arrays whose first dimension counts the samples.
#include <fmt/format.h>

#include <algorithm>

#include "calibration/data/descriptor.h"
#include "calibration/data/file_set.h"
#include "calibration/data/npy.h"
#include "passes/base/error.h"
#include "passes/base/text.h"

namespace lathe::data {
namespace {

// An array for a model input. Constant: the same for every sample, its shape
// the input's own.
struct Column {
  ModelInput input;
  NpyArray array;
  bool constant = false;
  std::vector<int64_t> sample_dims;  // without the batch dimension
};

std::string show(const NpyArray& array) {
  return fmt::format("{}[{}]", ir::to_string(array.type),
                     fmt::join(array.dims, ","));
}

class Arrays : public SampleSet {
 public:
  // `arrays`: one for each of `inputs`.
  Arrays(const std::vector<ModelInput>& inputs, std::vector<NpyArray> arrays,
         std::vector<int64_t> labels, std::string description)
      : labels_(std::move(labels)), description_(std::move(description)) {
    size_ = static_cast<int64_t>(labels_.size());
    for (const NpyArray& array : arrays)
      if (size_ == 0 && !array.dims.empty()) size_ = array.dims[0];
    for (size_t i = 0; i < inputs.size(); ++i)
      add({inputs[i], std::move(arrays[i]), false, {}});
    if (std::all_of(columns_.begin(), columns_.end(),
                    [](const Column& column) { return column.constant; }))
      size_ = 1;
  }

  int64_t size() const override { return size_; }
  bool has_labels() const override { return !labels_.empty(); }
  bool whole() const override { return whole_; }
  std::string description() const override { return description_; }
  std::string name(int64_t index) const override {
    return fmt::format("{}: sample {}", columns_.front().array.blob.name(),
                       index);
  }

  Sample load(int64_t index, const std::optional<Variation>&) const override {
    Sample sample;
    for (const Column& column : columns_)
      sample.inputs.emplace_back(column.input.name, load(column, index));
    if (has_labels()) sample.label = labels_[static_cast<size_t>(index)];
    return sample;
  }

 private:
  void add(Column column) {
    const NpyArray& array = column.array;
    const std::string& where = array.blob.name();
    if (!convertible(array.type, column.input.type))
      throw_input(where, fmt::format("{} cannot be given to input '{}' of "
                                     "type {}",
                                     show(array), column.input.name,
                                     ir::to_string(column.input.type)));
    if (!array.dims.empty() && array.dims[0] == size_) {
      column.sample_dims = fit_sample(
          {array.dims.begin() + 1, array.dims.end()}, column.input, where,
          fmt::format("the array is {}, its first dimension counts "
                      "the samples",
                      show(array)));
    } else if (fits_whole(array.dims, column.input) &&
               (column.input.dims || array.dims.empty())) {
      column.constant = true;
      whole_ = true;
    } else {
      throw_input(where,
                  fmt::format("{} for input '{}' of shape {}, expected {} "
                              "samples as in the other arrays",
                              show(array), column.input.name,
                              column.input.to_string(), size_));
    }
    columns_.push_back(std::move(column));
  }

  ir::Tensor load(const Column& column, int64_t index) const {
    const NpyArray& array = column.array;
    const std::string where = name(index);
    if (column.constant)
      return convert(array.blob.read(array.offset, array.bytes()), array.type,
                     array.dims, column.input.type, where);
    const uint64_t bytes = array.bytes() / static_cast<uint64_t>(size_);
    std::vector<int64_t> dims = column.sample_dims;
    if (whole_) dims.insert(dims.begin(), 1);
    return convert(
        array.blob.read(array.offset + static_cast<uint64_t>(index) * bytes,
                        bytes),
        array.type, std::move(dims), column.input.type, where);
  }

  std::vector<Column> columns_;
  std::vector<int64_t> labels_;
  std::string description_;
  int64_t size_ = 0;
  bool whole_ = false;
};

}  // namespace

std::shared_ptr<const SampleSet> open_npy(const OpenContext& context) {
  const Descriptor& descriptor = context.descriptor;
  const ModelInput& input =
      choose_input(context.inputs, descriptor.input, descriptor.where("input"));
  const NpyArray array = read_npy(Blob::open_file(descriptor.path));
  if (array.dims.empty())
    throw_input(array.blob.name(),
                "holds a scalar, expected a first dimension that counts the "
                "samples");
  std::vector<int64_t> labels;
  if (!descriptor.labels_file.empty()) {
    labels = read_labels(read_npy(Blob::file(descriptor.labels_file)));
    if (static_cast<int64_t>(labels.size()) != array.dims[0])
      throw_input(descriptor.labels_file.string(),
                  fmt::format("has {} labels for {} samples", labels.size(),
                              array.dims[0]));
  }
  return std::make_shared<Arrays>(
      std::vector<ModelInput>{input}, std::vector<NpyArray>{array},
      std::move(labels), "npy " + descriptor.path.filename().string());
}

std::shared_ptr<const SampleSet> open_npz(const OpenContext& context) {
  const std::filesystem::path& path = context.descriptor.path;
  std::vector<std::pair<std::string, NpyArray>> named;
  for (const DataFile& member : open_zip(path))
    if (member.path.ends_with(".npy"))
      named.emplace_back(member.path.substr(0, member.path.size() - 4),
                         read_npy(member.blob));
  std::vector<std::string> names, input_names, problems;
  for (const auto& [name, unused] : named) names.push_back(name);
  for (const ModelInput& input : context.inputs)
    input_names.push_back(input.name);
  std::vector<NpyArray> arrays;
  for (const std::string& input : input_names) {
    const auto found = std::find(names.begin(), names.end(), input);
    if (found == names.end())
      problems.push_back(fmt::format("no array for input '{}'", input));
    else
      arrays.push_back(
          named[static_cast<size_t>(found - names.begin())].second);
  }
  std::vector<int64_t> labels;
  for (const auto& [name, array] : named) {
    if (std::find(input_names.begin(), input_names.end(), name) !=
        input_names.end())
      continue;
    if (name == "labels")
      labels = read_labels(array);
    else
      problems.push_back(fmt::format("array '{}' is no input of the model{}",
                                     name, did_you_mean(name, input_names)));
  }
  if (!problems.empty())
    throw_input(path.string(), join(problems, ", "),
                input_names.empty()
                    ? ""
                    : "name the arrays " + join(input_names, ", ") +
                          " and, where there are any, labels");
  if (arrays.empty()) throw_input(path.string(), "the model has no input");
  return std::make_shared<Arrays>(context.inputs, std::move(arrays),
                                  std::move(labels),
                                  "npz " + path.filename().string());
}

}  // namespace lathe::data
