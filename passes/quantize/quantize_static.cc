// Static int8 quantization in QDQ form.
//
//   x -> Conv -> Relu -> y   becomes   x -> Q -> DQ -> Conv -> Relu -> Q -> DQ
//
// with int8 weights per channel and int32 biases behind DQs of their own. The
// steps, one file each: select_nodes (what becomes an integer kernel),
// parameters (scale and zero point of each value), weights and insert_qdq,
// keep_matmul_bias, and pad_channels. Formulas: passes/affine.h and ONNX's
// QuantizeLinear. Why Q/DQ stand where they do: docs/quantize.md.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "passes/base/error.h"
#include "passes/device_traits.h"
#include "passes/ir/shape_inference.h"
#include "passes/quantize/insert_qdq.h"
#include "passes/quantize/mixed_precision.h"
#include "passes/quantize/parameters.h"
#include "passes/quantize/placement.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/select_nodes.h"
#include "passes/quantize/weights.h"
#include "passes/rewrite/rewrite.h"

namespace lathe::quantize {
namespace {

// Per-channel DequantizeLinear exists from here on.
constexpr int64_t kLowestOpset = 13;
constexpr int64_t kRaisedOpset = 17;
// Q and DQ of 16 bits.
constexpr int64_t kWideOpset = 21;

constexpr const char* kWideRemark =
    "the runtime has no integer kernels for 16-bit activations: quantized "
    "nodes "
    "compute in float between DequantizeLinear and QuantizeLinear and are "
    "slower than without";

// After the device's name.
constexpr const char* kSignedRemark =
    "runs uint8 activations: what several nodes read stays in float with int8 "
    "ones";

#if defined(__aarch64__) || defined(__arm__)
constexpr bool kUnsignedHere = false;
#else
constexpr bool kUnsignedHere = true;
#endif

class QuantizeStatic final : public Pass {
 public:
  explicit QuantizeStatic(QuantizeOptions options)
      : options_(std::move(options)) {}

  std::string name() const override { return "quantize_static"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    const QuantizeOptions options = decided(context);
    const bool wide = ir::bits_per_element(options.activation_type) == 16;
    PassResult result;
    if (model.opset() < (wide ? kWideOpset : kLowestOpset))
      result.add(rewrite::make_raise_opset(wide ? kWideOpset : kRaisedOpset)
                     ->run(model, context));
    ir::infer_shapes(model);
    Selection selection = select_nodes(model, options);
    std::optional<Placement> placement;
    if (is_placed(selection, options, context))
      open_placement(model, selection, options, context, placement, result);
    Observations observed;
    if (options.budget.given())
      observed = observe(model, selection, options, context);
    if (placement)
      selection = decide(model, selection, *placement, observed, options,
                         context, result);
    if (!options.budget.given())
      observed = observe(model, selection, options, context);
    std::vector<Remark> narrowed = write(model, selection, observed, options);
    result.changes += static_cast<int64_t>(selection.roles.size());
    if (wide && !selection.roles.empty())
      result.remarks.push_back({"", kWideRemark});
    if (options.activation_type == ir::DataType::kInt8 && context.device &&
        context.device->unsigned_activations)
      result.remarks.push_back(
          {"", "the device '" + context.device->name + "' " + kSignedRemark});
    result.add({0, std::move(selection.remarks), {}});
    result.add({0, std::move(narrowed), {}});
    result.add({0, observed.remarks, {}});
    return result;
  }

 private:
  // The device's latencies decide where integer kernels stand.
  static bool is_placed(const Selection& candidates,
                        const QuantizeOptions& options,
                        const PassContext& context) {
    const bool calibrated = context.latency && context.latency->calibrated();
    if (options.budget.given() && !calibrated)
      throw Error(ErrorKind::kUsage, "quantize_static",
                  "a budget needs a device profile with measured latencies",
                  "`lathe profile` makes one of this machine, `lathe list "
                  "devices` names those that are there");
    return calibrated && !candidates.roles.empty() &&
           (options.placement == PlacementRule::kLatency ||
            options.budget.given());
  }

  // Stays empty, with a remark, where the model's latency cannot be asked for.
  static void open_placement(const ir::Model& model,
                             const Selection& candidates,
                             const QuantizeOptions& options,
                             const PassContext& context,
                             std::optional<Placement>& placement,
                             PassResult& result) {
    try {
      placement.emplace(model, candidates, options, *context.latency,
                        context.input_shapes);
    } catch (const Error& error) {
      const bool of_the_model = error.kind() == ErrorKind::kInput ||
                                error.kind() == ErrorKind::kUsage ||
                                error.kind() == ErrorKind::kUnsupported;
      if (!of_the_model || options.budget.given()) throw;
      result.remarks.push_back(
          {"", fmt::format("integer kernels stand wherever the runtime has "
                           "them, because their latency is not known: {}",
                           error.what())});
    }
  }

  static Selection decide(const ir::Model& model, const Selection& candidates,
                          Placement& placement, const Observations& observed,
                          const QuantizeOptions& options,
                          const PassContext& context, PassResult& result) {
    const auto build = [&](const Labels& labels) {
      ir::Model made = ir::clone(model);
      const Selection part =
          candidates.in(placement.nodes(), made.graph->node_list(), labels);
      write(made, part, observed, options);
      return made;
    };
    const PrecisionPlan plan =
        plan_precision(placement, options.budget, model, build, context);
    result.layers = layer_decisions(placement, plan, *context.latency);
    for (const LayerDecision& layer : result.layers)
      if (layer.precision == "float")
        result.remarks.push_back({layer.node, layer.reason});
    result.add({0, plan.remarks, {}});
    if (std::ranges::count(plan.labels, 1) == 0 && !options.budget.given())
      result.remarks.push_back(
          {"", fmt::format("integer kernels pay nowhere on {}: {:.1f} us in "
                           "float, {:.1f} us with all of them",
                           context.latency->device(),
                           placement.latency_us(placement.none()),
                           placement.latency_us(placement.all()))});
    return placement.select(plan.labels);
  }

  static std::vector<Remark> write(ir::Model& model, const Selection& selection,
                                   const Observations& observed,
                                   const QuantizeOptions& options) {
    return insert_qdq(model, selection,
                      choose_parameters(model, selection, options, observed),
                      options);
  }

  // The options with what they leave to the device.
  QuantizeOptions decided(const PassContext& context) const {
    QuantizeOptions options = options_;
    if (options.activation_type == ir::DataType::kUndefined) {
      const bool is_unsigned =
          context.device ? context.device->unsigned_activations : kUnsignedHere;
      options.activation_type =
          is_unsigned ? ir::DataType::kUint8 : ir::DataType::kInt8;
    }
    const ir::DataType type = options.activation_type;
    const int bits = ir::bits_per_element(type);
    if (!ir::is_integer(type) || (bits != 8 && bits != 16))
      throw Error(ErrorKind::kUsage, "quantize_static",
                  std::string("activation type is ") + ir::to_string(type) +
                      ", expected uint8, int8, uint16 or int16");
    require_weight_bits(options.weight_bits, "quantize_static");
    if (!options.pairs_saturate)
      options.pairs_saturate = context.device && context.device->pairs_saturate;
    return options;
  }

  QuantizeOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_quantize_static(QuantizeOptions options) {
  return std::make_unique<QuantizeStatic>(std::move(options));
}

}  // namespace lathe::quantize
