// Passes that look at the float model and at samples, on models in text form.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "passes/batch_source.h"
#include "passes/executor.h"
#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {

// Given samples, always in the order in which they were given.
class GivenSamples final : public BatchSource {
 public:
  explicit GivenSamples(std::vector<NamedTensors> samples)
      : samples_(std::move(samples)) {}
  int64_t size() const override {
    return static_cast<int64_t>(samples_.size());
  }
  bool has_labels() const override { return false; }
  bool is_synthetic() const override { return false; }
  std::string description() const override { return "given samples"; }
  std::unique_ptr<BatchReader> read(const ReadOptions&) override {
    return std::make_unique<Reader>(samples_);
  }

 private:
  struct Reader final : BatchReader {
    explicit Reader(const std::vector<NamedTensors>& all) : samples(all) {}
    std::optional<Batch> next() override {
      if (at == samples.size()) return std::nullopt;
      Batch batch;
      batch.inputs = samples[at++];
      batch.samples = 1;
      return batch;
    }
    const std::vector<NamedTensors>& samples;
    size_t at = 0;
  };
  std::vector<NamedTensors> samples_;
};

// `count` samples of the input x; values(sample, element).
template <class F>
GivenSamples samples_of_x(size_t count, const std::vector<int64_t>& dims,
                          F&& values) {
  size_t size = 1;
  for (const int64_t dim : dims) size *= static_cast<size_t>(dim);
  std::vector<NamedTensors> samples;
  for (size_t i = 0; i < count; ++i) {
    std::vector<float> data(size);
    for (size_t k = 0; k < size; ++k) data[k] = values(i, k);
    samples.push_back({{"x", ir::Tensor::from<float>(dims, data)}});
  }
  return GivenSamples(std::move(samples));
}

// A float model and what quantize_static makes of it.
struct Pair {
  ir::Model reference;
  Outcome quantized;

  explicit Pair(ir::Model model, std::map<std::string, Range> ranges = {},
                QuantizeOptions options = {})
      : reference(std::move(model)), quantized{ir::clone(reference), {}, {}} {
    FixedRanges collector(std::move(ranges));
    PassContext context;
    context.ranges = &collector;
    quantized.result =
        make_quantize_static(std::move(options))->run(quantized.model, context);
  }
  explicit Pair(const std::string& text,
                std::map<std::string, Range> ranges = {},
                QuantizeOptions options = {})
      : Pair(ir::parse_text(text), std::move(ranges), std::move(options)) {}

  Outcome run(std::unique_ptr<Pass> pass, BatchSource& data, int jobs = 0,
              uint64_t seed = 0) const {
    Outcome outcome{ir::clone(quantized.model), {}, {}};
    PassContext context;
    context.reference = &reference;
    context.data = &data;
    context.jobs = jobs;
    context.seed = seed;
    std::vector<std::unique_ptr<Pass>> passes;
    passes.push_back(std::move(pass));
    outcome.result = run_passes(outcome.model, passes, context);
    return outcome;
  }
};

// The codes behind the DequantizeLinear that is input `index` of the node.
template <class T>
std::vector<T> codes_of(const Outcome& outcome, const std::string& node,
                        size_t index) {
  const ir::Node* dequantize = outcome.node(node)->input(index)->producer();
  const auto data = dequantize->input(0)->tensor().data<T>();
  return {data.begin(), data.end()};
}

}  // namespace lathe::quantize::test
