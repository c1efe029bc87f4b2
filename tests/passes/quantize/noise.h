// Samples of noise for the quantization tests.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "calibration/latency/bench.h"
#include "passes/batch_source.h"

namespace lathe::quantize::test {

// Seeded noise in the shape of the model's inputs.
class NoiseSource final : public BatchSource {
 public:
  NoiseSource(const ir::Model& model, int64_t samples) : samples_(samples) {
    for (int64_t i = 0; i < samples; ++i)
      inputs_.push_back(latency::random_inputs(
          model, ir::default_input_shapes(model), static_cast<uint64_t>(i)));
  }
  int64_t size() const override { return samples_; }
  bool has_labels() const override { return false; }
  bool is_synthetic() const override { return true; }
  std::string description() const override { return "noise"; }
  std::unique_ptr<BatchReader> read(const ReadOptions&) override {
    return std::make_unique<Reader>(inputs_);
  }
  const NamedTensors& inputs(size_t i) const { return inputs_[i]; }

 private:
  struct Reader final : BatchReader {
    explicit Reader(const std::vector<NamedTensors>& all) : inputs(all) {}
    std::optional<Batch> next() override {
      if (at == inputs.size()) return std::nullopt;
      Batch batch;
      batch.inputs = inputs[at++];
      batch.samples = 1;
      return batch;
    }
    const std::vector<NamedTensors>& inputs;
    size_t at = 0;
  };
  int64_t samples_;
  std::vector<NamedTensors> inputs_;
};

}  // namespace lathe::quantize::test
