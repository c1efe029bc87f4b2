// Empirical bias correction (Nagel et al. 2019, arXiv 1906.04721, section 4.2).
//
//   b'[c] = b[c] + E(float result[c]) - E(quantized result[c])
//
// over samples and positions, b in codes of scale_x * scale_w[c]. Layers are
// taken in execution order, each measured with those before it corrected. What
// the samples cannot tell from noise is left out (shift_of).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/exec/staged_run.h"
#include "passes/quantize/coded_layers.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/weights.h"

namespace lathe::quantize {
namespace {

// A bias is added where a channel is off by so many steps of the result.
constexpr double kWorthSteps = 0.25;

constexpr const char* kNoPlace =
    "a MatMul has no bias that could be corrected unless the runtime merges an "
    "Add into it";
constexpr const char* kNotWorth =
    "it has no bias, and no channel is off by a quarter of a step of its "
    "result";
constexpr const char* kNotFinite = "its result is not finite over the samples";
constexpr const char* kBounded =
    "a bias would leave the safe range of int32 and stops at its end";

// Sums over a sample's positions, one a channel.
struct ChannelSums {
  std::vector<double> sums;
  double count = 0;  // positions

  static ChannelSums of(const at::Tensor& value, int64_t axis) {
    if (value.numel() == 0) return {};
    const at::Tensor rows =
        value.movedim(axis, 0).reshape({value.size(axis), -1});
    const at::Tensor sums = rows.sum(1, /*keepdim=*/false, at::kDouble);
    const double* data = sums.data_ptr<double>();
    return {{data, data + sums.numel()}, static_cast<double>(rows.size(1))};
  }
};

// One a sample.
using SampleSums = std::vector<ChannelSums>;

// Of several values in one run.
std::vector<SampleSums> sums_of(const exec::StagedRun& run,
                                const std::vector<std::string>& values,
                                const std::vector<int64_t>& axes) {
  std::vector<SampleSums> sums(values.size(), SampleSums(run.samples()));
  run.compute(values, [&](size_t sample, std::vector<at::Tensor> results) {
    for (size_t i = 0; i < values.size(); ++i)
      sums[i][sample] = ChannelSums::of(results[i], axes[i]);
  });
  return sums;
}

// E(expected) - E(found) of a channel, shrunk by what the samples' own spread
// makes of it: m * max(0, 1 - e^2 / m^2) with e its standard error (the
// positive part of James and Stein's estimator, 1961). Few samples then move
// nothing that is only noise.
double shift_of(const SampleSums& expected, const SampleSums& found,
                size_t channel) {
  double sum = 0, count = 0, samples = 0;
  const auto difference = [&](size_t i) {
    return expected[i].sums[channel] - found[i].sums[channel];
  };
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].count == 0) continue;
    sum += difference(i);
    count += found[i].count;
    ++samples;
  }
  const double mean = sum / count;
  if (samples < 2 || mean == 0) return mean;
  double squares = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].count == 0) continue;
    const double apart = difference(i) - mean * found[i].count;
    squares += apart * apart;
  }
  const double error_squared =
      squares / (count * count) * samples / (samples - 1);
  return mean * std::max(0.0, 1 - error_squared / (mean * mean));
}

// Every sample that gave anything gave both `channels` sums, and some did.
bool agree(const SampleSums& expected, const SampleSums& found,
           int64_t channels) {
  bool any = false;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].count != expected[i].count) return false;
    if (found[i].count == 0) continue;
    const auto size = static_cast<size_t>(channels);
    if (found[i].sums.size() != size || expected[i].sums.size() != size)
      return false;
    any = true;
  }
  return any;
}

// The step of the codes that the layer's result becomes; 0 where it stays
// float.
double result_step(const CodedLayer& layer) {
  const ir::Value* value = after_activation(layer.result);
  for (const ir::Use& use : value->uses())
    if (use.node->is("QuantizeLinear") && use.node->input(1)->is_constant())
      return use.node->input(1)->tensor().to_doubles()[0];
  return 0;
}

class Corrector {
 public:
  Corrector(ir::Model& model, PassContext& context, PassResult& result)
      : graph_(*model.graph), context_(context), result_(result) {}

  void correct(CodedLayer& layer, const SampleSums& expected,
               const SampleSums& found) {
    const std::string id = layer.node->id();
    if (!agree(expected, found, layer.channels))
      return remark(id, "the data never reaches it");
    std::vector<float> shift(static_cast<size_t>(layer.channels));
    for (size_t c = 0; c < shift.size(); ++c)
      shift[c] = static_cast<float>(shift_of(expected, found, c));
    if (!std::ranges::all_of(shift, [](float s) { return std::isfinite(s); }))
      return remark(id, kNotFinite);
    if (layer.bias)
      move_bias(layer, shift);
    else
      add_bias(layer, shift);
  }

 private:
  void remark(const std::string& node, std::string reason) {
    result_.remarks.push_back({node, std::move(reason)});
  }

  void move_bias(CodedLayer& layer, const std::vector<float>& shift) {
    ir::Node& bias = *layer.bias;
    const ir::Tensor& tensor = bias.input(0)->tensor();
    const std::vector<double> scales = bias.input(1)->tensor().to_doubles();
    if (static_cast<size_t>(tensor.size()) != shift.size() ||
        (scales.size() != 1 && scales.size() != shift.size()))
      return remark(layer.node->id(), "its bias is not one value a channel");
    std::vector<int32_t> codes(shift.size());
    bool moved = false, bounded = false;
    for (size_t c = 0; c < codes.size(); ++c) {
      const int32_t before = tensor.data<int32_t>()[c];
      const double steps = shift[c] / scales[scales.size() == 1 ? 0 : c];
      const double code = std::nearbyint(before + steps);
      // A code that is out there already may stay.
      const double most =
          std::max(kMaxBiasCode, std::abs(static_cast<double>(before)));
      bounded |= std::isfinite(steps) && std::fabs(code) > most;
      codes[c] = std::isfinite(steps)
                     ? static_cast<int32_t>(std::clamp(code, -most, most))
                     : before;
      moved |= codes[c] != before;
    }
    if (bounded) remark(layer.node->id(), kBounded);
    if (!moved) return;
    ir::Value* old = bias.input(0);
    bias.set_input(0, graph_.add_constant(
                          old->name() + "_corrected",
                          ir::Tensor::from<int32_t>(tensor.dims(), codes)));
    if (old->unused()) graph_.remove_value(old);
    ++result_.changes;
  }

  void add_bias(CodedLayer& layer, const std::vector<float>& shift) {
    ir::Node& node = *layer.node;
    if (node.is("MatMul")) return remark(node.id(), kNoPlace);
    const double step = result_step(layer);
    const auto off = [&](float s) {
      return std::fabs(s) >= kWorthSteps * step;
    };
    if (step > 0 && std::ranges::none_of(shift, off))
      return remark(node.id(), kNotWorth);
    ir::Value* floats = graph_.add_constant(
        node.id() + "_bias", ir::Tensor::from<float>({layer.channels}, shift));
    const float input_scale =
        layer.input->input(1)->tensor().to_floats().front();
    const CodedConstant coded = ConstantCoder(graph_).bias(
        floats, layer.channels, input_scale, layer.scales);
    ir::Node* dequantize = graph_.add_node(
        "DequantizeLinear", {coded.codes, coded.scale, coded.zero_point},
        std::vector<std::string>{floats->name() + "_DequantizeLinear"}, &node);
    dequantize->name = dequantize->output()->name();
    dequantize->output()->type = floats->type;
    if (coded.axis) dequantize->set_attr("axis", *coded.axis);
    node.set_input(2, dequantize->output());
    graph_.remove_value(floats);
    ++result_.changes;
  }

  ir::Graph& graph_;
  PassContext& context_;
  PassResult& result_;
};

class BiasCorrection final : public Pass {
 public:
  explicit BiasCorrection(BiasCorrectionOptions options) : options_(options) {}

  std::string name() const override { return "bias_correction"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    require_reference_and_data(context, name());
    if (options_.samples < 1)
      throw Error(ErrorKind::kUsage, name(),
                  "samples is " + std::to_string(options_.samples) +
                      ", expected 1 or more");
    PassResult result;
    std::vector<CodedLayer> layers =
        find_coded_layers(model, *context.reference, result.remarks);
    if (layers.empty()) return result;
    const auto samples =
        exec::draw_samples(*context.reference->graph, *context.data,
                           options_.samples, derive_seed(context.seed, name()));
    context.progress->begin("correct biases", layers.size() + 1);
    const std::vector<SampleSums> expected =
        float_sums(layers, samples, context);
    context.progress->advance(1);
    exec::StagedRun staged(model, samples, context);
    Corrector corrector(model, context, result);
    for (size_t i = 0; i < layers.size(); ++i) {
      staged.advance(layers[i].first());
      const SampleSums found = sums_of(staged, {layers[i].result->name()},
                                       {layers[i].channel_axis})[0];
      corrector.correct(layers[i], expected[i], found);
      context.progress->advance(1);
    }
    context.progress->end();
    return result;
  }

 private:
  static std::vector<SampleSums> float_sums(
      const std::vector<CodedLayer>& layers,
      const std::vector<exec::Program::Named>& samples,
      const PassContext& context) {
    std::vector<std::string> values;
    std::vector<int64_t> axes;
    for (const CodedLayer& layer : layers) {
      values.push_back(layer.target->name());
      axes.push_back(layer.channel_axis);
    }
    return sums_of(exec::StagedRun(*context.reference, samples, context),
                   values, axes);
  }

  BiasCorrectionOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_bias_correction(BiasCorrectionOptions options) {
  return std::make_unique<BiasCorrection>(options);
}

}  // namespace lathe::quantize
