#include "calibration/latency/probe/network_precision.h"

#include <set>

#include "passes/activation_ranges.h"
#include "passes/base/random.h"
#include "passes/ir/shape_inference.h"
#include "passes/pass_context.h"
#include "passes/quantize/quantize.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::latency {
namespace {

class MadeUpRanges final : public RangeCollector {
 public:
  ActivationRanges collect(const ir::Model& model,
                           const std::vector<std::string>& values,
                           ProgressSink&, const CancelToken*) override {
    ActivationRanges ranges;
    // Like a trained network's they differ: the runtime leaves out steps
    // between equal ones.
    for (const std::string& name : values) {
      const float most = 3 + static_cast<float>(derive_seed(1, name) % 16) / 8;
      ranges[name] = is_positive(model.graph->find(name)) ? Range{0, most}
                                                          : Range{-most, most};
    }
    return ranges;
  }

 private:
  // Relu and what stays positive behind it.
  static bool is_positive(const ir::Value* value) {
    const ir::Node* node = value ? value->producer() : nullptr;
    if (!node) return false;
    if (node->is("Relu") || node->is("Clip") || node->is("Sigmoid") ||
        node->is("Softmax"))
      return true;
    if (node->is("MaxPool") || node->is("AveragePool") ||
        node->is("GlobalAveragePool") || node->is("Flatten") ||
        node->is("Reshape"))
      return is_positive(node->input(0));
    return false;
  }
};

}  // namespace

void make_int8(ir::Model& model) {
  quantize::QuantizeOptions options;
#if defined(__aarch64__) || defined(__arm__)
  options.activation_type = ir::DataType::kInt8;
#endif
  MadeUpRanges ranges;
  PassContext context;
  context.jobs = 1;
  context.ranges = &ranges;
  // As a recipe does it.
  rewrite::make_simplify()->run(model, context);
  quantize::make_quantize_static(options)->run(model, context);
  quantize::make_block_pixels({})->run(model, context);
}

void make_fp16(ir::Model& model) {
  std::set<const ir::Value*> kept;
  for (const auto& node : model.graph->nodes())
    if (node->is("Resize") && node->input(2)) kept.insert(node->input(2));
  for (ir::Value* value : model.graph->values()) {
    if (value->type.elem != ir::DataType::kFloat || kept.count(value)) continue;
    value->type.elem = ir::DataType::kFloat16;
    if (value->has_initializer())
      value->set_tensor(ir::Tensor::from_doubles(ir::DataType::kFloat16,
                                                 value->tensor().dims(),
                                                 value->tensor().to_doubles()));
  }
}

}  // namespace lathe::latency
