// Format "onnx-testcase": folders test_data_set_N of serialized tensors
// input_0.pb, input_1.pb, … in the order of the model's inputs.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "calibration/data/descriptor.h"
#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"

namespace lathe::data {
namespace {

namespace fs = std::filesystem;

// The number at the end of a name; names without one come first.
int64_t number_of(std::string_view text) {
  const size_t digits = text.find_last_not_of("0123456789") + 1;
  int64_t number = -1;
  std::from_chars(text.data() + digits, text.data() + text.size(), number);
  return number;
}

std::map<int64_t, fs::path> input_files_of(const fs::path& folder) {
  std::map<int64_t, fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".pb" && stem.starts_with("input_") &&
        number_of(stem) >= 0)
      files[number_of(stem)] = entry.path();
  }
  return files;
}

// The folders with input tensors, by number and then name.
std::vector<fs::path> test_sets(const fs::path& path) {
  if (!fs::is_directory(path))
    throw_input(path.string(), "expected a folder of test cases");
  if (!input_files_of(path).empty()) return {path};
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(path))
    if (entry.is_directory() && !input_files_of(entry.path()).empty())
      folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end(),
            [](const fs::path& a, const fs::path& b) {
              const std::string left = a.filename(), right = b.filename();
              return std::pair(number_of(left), left) <
                     std::pair(number_of(right), right);
            });
  if (folders.empty())
    throw_input(path.string(),
                "holds no test_data_set_N folder with input_0.pb");
  return folders;
}

// Dimensions named "N" or "…batch…" count samples; others may be anything.
bool counts_samples(const ModelInput& input) {
  if (!input.dims || input.dims->empty() || input.dims->front() >= 0)
    return false;
  std::string symbol = input.symbols.front();
  for (char& c : symbol)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return symbol == "n" || symbol.find("batch") != std::string::npos;
}

class TestCases : public SampleSet {
 public:
  explicit TestCases(const OpenContext& context)
      : inputs_(context.inputs),
        description_("onnx-testcase " + context.descriptor.path.string()) {
    if (inputs_.empty())
      throw_input(context.descriptor.path.string(),
                  "the model has no input to feed");
    for (const fs::path& folder : test_sets(context.descriptor.path))
      sets_.push_back(read_set(folder));
    rows_ = may_split();
    for (size_t set = 0; set < sets_.size(); ++set) {
      const int64_t count = rows_ ? sets_[set].tensors.front().dims()[0] : 1;
      for (int64_t row = 0; row < count; ++row) samples_.push_back({set, row});
    }
  }

  int64_t size() const override {
    return static_cast<int64_t>(samples_.size());
  }
  bool has_labels() const override { return false; }
  bool whole() const override { return !rows_; }
  std::string description() const override { return description_; }
  std::string name(int64_t index) const override {
    const auto& [set, row] = samples_[static_cast<size_t>(index)];
    return rows_ ? fmt::format("{}: row {}", sets_[set].folder, row)
                 : sets_[set].folder;
  }

  Sample load(int64_t index, const std::optional<Variation>&) const override {
    const auto& [set, row] = samples_[static_cast<size_t>(index)];
    Sample sample;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const ir::Tensor& tensor = sets_[set].tensors[i];
      sample.inputs.emplace_back(inputs_[i].name,
                                 rows_ ? row_of(tensor, row) : tensor);
    }
    return sample;
  }

 private:
  struct Set {
    std::string folder;
    std::vector<ir::Tensor> tensors;  // one an input
  };

  Set read_set(const fs::path& folder) const {
    const auto files = input_files_of(folder);
    if (files.size() != inputs_.size())
      throw_input(folder.string(),
                  fmt::format("holds {} input tensors, the model has {} "
                              "inputs",
                              files.size(), inputs_.size()));
    Set set{folder.string(), {}};
    size_t next = 0;
    for (const auto& [unused, file] : files) {
      const ModelInput& input = inputs_[next++];
      ir::Tensor tensor = io::read_tensor_file(file);
      if (tensor.type() != input.type || !fits_whole(tensor.dims(), input))
        throw_input(file.string(),
                    fmt::format("{}[{}] does not fit input '{}' of shape {}",
                                ir::to_string(tensor.type()),
                                fmt::join(tensor.dims(), ","), input.name,
                                input.to_string()));
      set.tensors.push_back(std::move(tensor));
    }
    return set;
  }

  // Rows of a set are samples of their own where every input's first dimension
  // is a batch, and all rows are of one shape.
  bool may_split() const {
    if (!std::all_of(inputs_.begin(), inputs_.end(), counts_samples))
      return false;
    for (const Set& set : sets_)
      for (size_t i = 0; i < set.tensors.size(); ++i) {
        const auto& dims = set.tensors[i].dims();
        const auto& first = sets_.front().tensors[i].dims();
        if (dims[0] != set.tensors.front().dims()[0] ||
            !std::equal(dims.begin() + 1, dims.end(), first.begin() + 1,
                        first.end()))
          return false;
      }
    return true;
  }

  static ir::Tensor row_of(const ir::Tensor& tensor, int64_t row) {
    const std::vector<int64_t> dims(tensor.dims().begin() + 1,
                                    tensor.dims().end());
    const size_t bytes =
        tensor.bytes().size() / static_cast<size_t>(tensor.dims()[0]);
    return ir::Tensor(tensor.type(), dims,
                      ir::Bytes::copy_of(tensor.bytes().subspan(
                          static_cast<size_t>(row) * bytes, bytes)));
  }

  std::vector<ModelInput> inputs_;
  std::vector<Set> sets_;
  std::vector<std::pair<size_t, int64_t>> samples_;  // set, row
  bool rows_ = false;
  std::string description_;
};

}  // namespace

std::shared_ptr<const SampleSet> open_onnx_testcase(
    const OpenContext& context) {
  return std::make_shared<TestCases>(context);
}

}  // namespace lathe::data
