// Int8 forms of the zoo without a calibration run.
#include <memory>
#include <vector>

#include "passes/activation_ranges.h"
#include "passes/base/random.h"
#include "passes/pass.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"
#include "tests/zoo/zoo.h"

namespace lathe::zoo {
namespace {

// Ranges that fit what computes the value, drawn by its name: tensors differ in
// scale, as they do after a calibration.
class DrawnRanges final : public RangeCollector {
 public:
  explicit DrawnRanges(uint64_t seed) : seed_(seed) {}

  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& values,
                           ProgressSink&, const CancelToken*) override {
    ActivationRanges ranges;
    for (const std::string& name : values)
      ranges[name] = draw(*model.graph->find(name));
    return ranges;
  }

 private:
  Range draw(const ir::Value& value) const {
    Random random(derive_seed(seed_, value.name()));
    auto bound = [&](double low, double high) {
      return static_cast<float>(random.uniform(low, high));
    };
    const ir::Node* producer = value.producer();
    if (!producer) return {bound(-2.5, -1.5), bound(1.5, 2.5)};
    if (producer->is("Relu") || producer->is("Clip")) return {0, bound(3, 6)};
    if (producer->is("Sigmoid") || producer->is("HardSigmoid") ||
        producer->is("Softmax"))
      return {0, 1};
    // The least value of x * hard_sigmoid(x).
    if (producer->is("HardSwish")) return {-0.375f, bound(3, 6)};
    return {bound(-6, -3), bound(3, 6)};
  }

  uint64_t seed_;
};

}  // namespace

ir::Model quantize_for_latency(const ir::Model& model, uint64_t seed) {
  ir::Model quantized = ir::clone(model);
  DrawnRanges ranges(seed);
  PassContext context;
  context.seed = seed;
  context.ranges = &ranges;
  std::vector<std::unique_ptr<Pass>> passes;
  passes.push_back(rewrite::make_simplify());
  passes.push_back(quantize::make_quantize_static({}));
  run_passes(quantized, passes, context);
  return quantized;
}

}  // namespace lathe::zoo
