#include "tests/passes/prune/saliency_support.h"

#include <algorithm>

#include "passes/ir/shape_inference.h"
#include "passes/ir/text_format.h"

namespace lathe::test {

GivenBatches GivenBatches::normal(const ir::Model& model, int64_t count,
                                  int64_t classes, uint64_t seed) {
  Random random(seed);
  const ir::Value& input = *model.graph->inputs()[0];
  std::vector<int64_t> dims;
  int64_t elements = 1;
  for (const ir::Dim& dim : *input.type.shape) {
    dims.push_back(std::max<int64_t>(1, dim.value));
    elements *= dims.back();
  }
  std::vector<Batch> batches;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<double> values(static_cast<size_t>(elements));
    for (double& value : values) value = random.normal();
    Batch batch;
    batch.inputs.emplace_back(
        input.name(), ir::Tensor::from_doubles(input.type.elem, dims, values));
    batch.samples = 1;
    if (classes > 0)
      batch.labels.push_back(
          static_cast<int64_t>(random.below(static_cast<uint64_t>(classes))));
    batches.push_back(std::move(batch));
  }
  return GivenBatches(std::move(batches));
}

std::unique_ptr<BatchReader> GivenBatches::read(const ReadOptions&) {
  struct Reader final : BatchReader {
    explicit Reader(const std::vector<Batch>& given) : all(given) {}
    std::optional<Batch> next() override {
      if (at == all.size()) return std::nullopt;
      return all[at++];
    }
    const std::vector<Batch>& all;
    size_t at = 0;
  };
  return std::make_unique<Reader>(batches_);
}

Batch batch_of(const std::vector<int64_t>& dims,
               const std::vector<float>& values,
               const std::vector<int64_t>& labels) {
  Batch batch;
  batch.inputs.emplace_back("x", ir::Tensor::from<float>(dims, values));
  batch.labels = labels;
  batch.samples = labels.empty() ? dims[0] : std::ssize(labels);
  return batch;
}

ir::Model text_model(const std::string& body) {
  ir::Model model = ir::parse_text("opset 17\ngraph g {\n" + body + "\n}");
  ir::infer_shapes(model);
  return model;
}

prune::Saliency saliency_of(const ir::Model& model,
                            const prune::SaliencyOptions& options,
                            BatchSource* data, int jobs) {
  PassContext context;
  context.data = data;
  context.jobs = jobs;
  return prune::measure_saliency(model, prune::ChannelGroups(model), options,
                                 context);
}

}  // namespace lathe::test
