#include "tests/passes/prune/repair_support.h"

#include <algorithm>
#include <cmath>

#include "passes/base/random.h"
#include "passes/exec/program.h"
#include "passes/executor.h"
#include "tests/passes/prune/saliency_support.h"

namespace lathe::test {

DrawnSamples::DrawnSamples(const ir::Model& model, int64_t count, uint64_t seed)
    : count_(count), seed_(seed) {
  const ir::Value& input = *model.graph->inputs()[0];
  input_ = input.name();
  dims_ = ir::to_dims(*input.type.shape);
  dims_.erase(dims_.begin());
}

std::unique_ptr<BatchReader> DrawnSamples::read(const ReadOptions& options) {
  struct Reader final : BatchReader {
    Reader(const DrawnSamples& drawn, int64_t size)
        : source(drawn), batch_size(size) {}
    std::optional<Batch> next() override {
      const int64_t count = std::min(batch_size, source.count_ - at);
      if (count <= 0) return std::nullopt;
      std::vector<int64_t> dims = source.dims_;
      dims.insert(dims.begin(), count);
      std::vector<float> values;
      for (int64_t i = 0; i < count; ++i) {
        Random random(derive_seed(source.seed_, std::to_string(at++)));
        const auto all = static_cast<int64_t>(
            ir::element_count(source.dims_, "a test's sample"));
        for (int64_t k = 0; k < all; ++k)
          values.push_back(static_cast<float>(random.normal()));
      }
      Batch batch;
      batch.inputs.emplace_back(source.input_,
                                ir::Tensor::from<float>(dims, values));
      batch.samples = count;
      return batch;
    }
    const DrawnSamples& source;
    int64_t batch_size, at = 0;
  };
  return std::make_unique<Reader>(*this, options.batch_size);
}

std::string remarks_of(const PassResult& result) {
  std::string text;
  for (const Remark& remark : result.remarks)
    text += remark.node + ": " + remark.reason + "\n";
  return text;
}

PrunedModel::PrunedModel(const std::string& body, const Removed& removed)
    : dense(text_model(body)),
      model(ir::clone(dense)),
      groups(dense),
      selection(groups.everything()) {
  for (const auto& [name, units] : removed)
    for (const size_t unit : units)
      selection.at(static_cast<size_t>(groups.find(name))).at(unit) = false;
  prune::shrink(model, groups, selection);
}

PassResult PrunedModel::repair(BatchSource& data,
                               const prune::RepairOptions& options, int jobs) {
  PassContext context;
  context.data = &data;
  context.jobs = jobs;
  PassResult result =
      prune::repair(model, dense, groups, selection, options, context);
  ir::verify(*model.graph, "repair");
  return result;
}

PassResult PrunedModel::run(std::unique_ptr<Pass> pass, BatchSource& data) {
  PassContext context;
  context.data = &data;
  context.jobs = 2;
  context.reference = &dense;
  context.pruned = std::make_shared<prune::Pruned>(groups, selection);
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(std::move(pass));
  return run_passes(model, passes, context);
}

double PrunedModel::difference() const {
  const auto expected = outputs_of(dense), found = outputs_of(model);
  double difference = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    double largest = 0, apart = 0;
    for (size_t k = 0; k < expected[i].size(); ++k) {
      largest = std::max(largest, std::fabs(double{expected[i][k]}));
      apart = std::max(
          apart, std::fabs(double{expected[i][k]} - double{found.at(i).at(k)}));
    }
    difference = std::max(difference, apart / largest);
  }
  return difference;
}

std::vector<std::vector<float>> outputs_of(const ir::Model& model,
                                           int64_t count, uint64_t seed) {
  const bool free = !model.graph->inputs()[0]->type.shape->front().known();
  DrawnSamples samples(model, count, seed);
  ReadOptions options;
  options.batch_size = free ? count : 1;
  const auto reader = samples.read(options);
  const auto program = exec::make_torch_executor()->prepare(model);
  std::vector<std::vector<float>> outputs(model.graph->outputs().size());
  while (const auto batch = reader->next()) {
    const std::vector<ir::Tensor> results = program->run(batch->inputs);
    for (size_t i = 0; i < results.size(); ++i) {
      const std::vector<float> values = results[i].to_floats();
      outputs[i].insert(outputs[i].end(), values.begin(), values.end());
    }
  }
  return outputs;
}

}  // namespace lathe::test
