// What quantize_static asks a collector for, and what it says of its answer.
#include <doctest/doctest.h>

#include "tests/passes/quantize/support.h"

namespace lathe::quantize::test {
namespace {

constexpr const char* kModel = R"(ir_version 8
opset 17
graph main {
  input %x: float[1,2,4,4]
  init %w = float[2,2,1,1] {1, 2, 3, 4}
  %c = Conv(%x, %w) @first
  %y = Conv(%c, %w) @second
  output %y
})";

class Asked final : public RangeCollector {
 public:
  using RangeCollector::collect;
  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& values,
                           ProgressSink& progress,
                           const CancelToken* cancel) override {
    return FixedRanges().collect(model, values, progress, cancel);
  }
  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& values,
                           const ObserverOptions& observer,
                           ProgressSink& progress,
                           const CancelToken* cancel) override {
    options = observer;
    return collect(model, values, progress, cancel);
  }
  std::unordered_map<std::string, uint64_t> not_finite() const override {
    return odd;
  }

  ObserverOptions options;
  std::unordered_map<std::string, uint64_t> odd;
};

PassResult quantized(Asked& collector, QuantizeOptions options) {
  ir::Model model = ir::parse_text(kModel);
  PassContext context;
  context.ranges = &collector;
  return make_quantize_static(std::move(options))->run(model, context);
}

TEST_CASE("the observer is told what its ranges are for") {
  Asked collector;
  QuantizeOptions options;
  options.observer.name = "mse";
  options.observer.percentile = 98;
  quantized(collector, options);
  CHECK(collector.options.name == "mse");
  CHECK(collector.options.percentile == 98);
  CHECK(collector.options.activation_type == ir::DataType::kUint8);
  CHECK_FALSE(collector.options.symmetric);
  options.activation_type = ir::DataType::kInt8;
  options.activation_symmetric = true;
  quantized(collector, options);
  CHECK(collector.options.activation_type == ir::DataType::kInt8);
  CHECK(collector.options.symmetric);
}

TEST_CASE("values that were not always finite have a remark") {
  Asked collector;
  CHECK(quantized(collector, {}).remarks.empty());
  collector.odd = {{"x", 3}, {"c", 1}};
  CHECK(quantized(collector, {}).remarks ==
        std::vector<Remark>{
            {"",
             "3 elements of 'x' were NaN or infinite over the calibration data "
             "and have no part in its range"},
            {"first",
             "1 elements of 'c' were NaN or infinite over the calibration data "
             "and have no part in its range"}});
}

}  // namespace
}  // namespace lathe::quantize::test
