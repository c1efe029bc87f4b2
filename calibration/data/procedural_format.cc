// Format "procedural": the demo's rendered images (procedural.h).
#include <fmt/format.h>

#include "calibration/data/descriptor.h"
#include "calibration/data/procedural.h"
#include "passes/base/error.h"

namespace lathe::data {
namespace {

constexpr int64_t kDefaultCount = 1000;

class Procedural : public SampleSet {
 public:
  Procedural(int64_t count, uint64_t seed, ModelInput input)
      : count_(count), seed_(seed), input_(std::move(input)) {
    if (input_.type != ir::DataType::kFloat)
      throw_input(fmt::format("input '{}'", input_.name),
                  fmt::format("is of type {}, and procedural images are float",
                              ir::to_string(input_.type)));
    dims_ = fit_sample({3, kProceduralSize, kProceduralSize}, input_,
                       "procedural images", "");
  }

  int64_t size() const override { return count_; }
  bool has_labels() const override { return true; }
  std::string description() const override {
    return fmt::format("procedural images, {} classes", kProceduralClasses);
  }
  std::string name(int64_t index) const override {
    return fmt::format("procedural image {}", index);
  }
  Sample load(int64_t index, const std::optional<Variation>&) const override {
    ProceduralImage image = render_procedural(seed_, index);
    Sample sample;
    sample.inputs.emplace_back(input_.name,
                               ir::Tensor::from<float>(dims_, image.pixels));
    sample.label = image.label;
    return sample;
  }

 private:
  int64_t count_;
  uint64_t seed_;
  ModelInput input_;
  std::vector<int64_t> dims_;
};

}  // namespace

std::shared_ptr<BatchSource> make_procedural_images(int64_t count,
                                                    uint64_t seed, int jobs) {
  ModelInput image;
  image.name = "image";
  image.type = ir::DataType::kFloat;
  image.dims = {-1, 3, kProceduralSize, kProceduralSize};
  image.symbols.resize(image.dims->size());
  return make_source(std::make_shared<Procedural>(count, seed, image), jobs);
}

std::shared_ptr<const SampleSet> open_procedural(const OpenContext& context) {
  const Descriptor& descriptor = context.descriptor;
  return std::make_shared<Procedural>(
      descriptor.count > 0 ? descriptor.count : kDefaultCount, descriptor.seed,
      choose_input(context.inputs, descriptor.input,
                   descriptor.where("input")));
}

}  // namespace lathe::data
