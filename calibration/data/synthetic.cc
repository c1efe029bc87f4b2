// Format "synthetic": random input of the model's shape.
#include <fmt/format.h>

#include <cstring>

#include "calibration/data/descriptor.h"
#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe::data {
namespace {

constexpr int64_t kDefaultSamples = 32;
constexpr uint64_t kMaxTensorBytes = uint64_t{1} << 30;

// Where every input has a leading dimension of the same size, samples are
// stacked along it; else a sample is one input of the whole model.
bool stackable(const std::vector<ModelInput>& inputs) {
  for (const ModelInput& input : inputs)
    if (input.dims->empty() || (*input.dims)[0] != (*inputs.front().dims)[0])
      return false;
  return true;
}

class Synthetic : public SampleSet {
 public:
  explicit Synthetic(const OpenContext& context)
      : inputs_(context.inputs),
        seed_(context.descriptor.seed ? context.descriptor.seed
                                      : context.options.seed) {
    const OpenOptions& options = context.options;
    size_ = context.descriptor.count > 0 ? context.descriptor.count
            : options.limit > 0          ? options.limit
                                         : kDefaultSamples;
    // A descriptor's limit asks for so many, there being no set to take from.
    if (context.descriptor.limit > 0 && context.descriptor.count == 0 &&
        options.limit == 0)
      size_ = context.descriptor.limit;
    if (inputs_.empty()) throw_input("synthetic", "the model has no input");
    for (const ModelInput& input : inputs_)
      if (!input.dims)
        throw Error(
            ErrorKind::kUsage, "synthetic",
            fmt::format("the shape of input '{}' is not known", input.name),
            fmt::format("give one: --input-shape {}:1x3x224x224", input.name));
    whole_ = !stackable(inputs_);
    for (ModelInput& input : inputs_) {
      std::vector<int64_t>& dims = *input.dims;
      if (!whole_)
        dims.erase(dims.begin());
      else if (input.given_batch >= 0)
        dims[0] = input.given_batch;
      for (int64_t& dim : dims)
        if (dim < 0) dim = 1;
      const uint64_t bytes = ir::packed_bytes(
          input.type, ir::element_count(dims, "input '" + input.name + "'"));
      if (bytes > kMaxTensorBytes)
        throw_input("synthetic",
                    fmt::format("input '{}' of shape {} is too large to be "
                                "filled with random values",
                                input.name, fmt::join(dims, "x")));
      // Fails here where the type cannot be filled, and not in the middle.
      ir::Tensor::from_doubles(input.type, {1}, std::vector<double>{0});
    }
  }

  int64_t size() const override { return size_; }
  bool has_labels() const override { return false; }
  bool is_synthetic() const override { return true; }
  bool whole() const override { return whole_; }
  std::string description() const override { return "synthetic random input"; }
  std::string name(int64_t index) const override {
    return fmt::format("synthetic sample {}", index);
  }

  Sample load(int64_t index, const std::optional<Variation>&) const override {
    Random random(derive_seed(seed_, fmt::format("synthetic {}", index)));
    Sample sample;
    for (const ModelInput& input : inputs_)
      sample.inputs.emplace_back(input.name, fill(input, random));
    return sample;
  }

 private:
  // Floats: standard normal. Integers and booleans: 0 or 1, which is a valid
  // index, token and flag in most models.
  static ir::Tensor fill(const ModelInput& input, Random& random) {
    const uint64_t count = ir::element_count(*input.dims, input.name);
    if (input.type == ir::DataType::kFloat) {
      std::vector<float> values(count);
      for (float& value : values) value = static_cast<float>(random.normal());
      return ir::Tensor::from<float>(*input.dims, values);
    }
    std::vector<double> values(count);
    for (double& value : values)
      value = ir::is_floating(input.type)
                  ? random.normal()
                  : static_cast<double>(random.below(2));
    return ir::Tensor::from_doubles(input.type, *input.dims, values);
  }

  std::vector<ModelInput> inputs_;  // dims: of a sample
  uint64_t seed_;
  int64_t size_ = 0;
  bool whole_ = false;
};

}  // namespace

std::shared_ptr<const SampleSet> open_synthetic(const OpenContext& context) {
  return std::make_shared<Synthetic>(context);
}

}  // namespace lathe::data
