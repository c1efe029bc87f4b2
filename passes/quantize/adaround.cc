// Adaptive rounding (Nagel et al. 2020, arXiv 2004.10568), layer by layer or,
// as BRECQ (Li et al. 2021, arXiv 2102.05426), block by block.
//
//   code = floor(w / scale) + {0, 1}   so that the float outputs come out
//
// Units are taken in execution order. What goes into one is what the quantized
// model before it gives on the samples, its target what the float model gives
// there (asymmetric reconstruction, equation 25 of the first paper). Codes are
// replaced only where that lowers the error on samples that were held out.
//
// The steps, one file each: coded_layers and reconstruction_units (what is
// learned together), exec/staged_run (inputs and targets of one unit at a
// time), rounding_optimizer and rounding_variables.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "passes/base/error.h"
#include "passes/base/random.h"
#include "passes/exec/model_part.h"
#include "passes/exec/staged_run.h"
#include "passes/quantize/quantize.h"
#include "passes/quantize/reconstruction_units.h"
#include "passes/quantize/rounding_optimizer.h"

namespace lathe::quantize {
namespace {

// Values of both models and targets, for all samples.
constexpr size_t kMaxBytes = size_t{2} << 30;

constexpr const char* kShared = "another layer has the same weights";
constexpr const char* kExact =
    "its codes already stand for the float weights, or give the same results";
constexpr const char* kSame = "learning ends at the codes that it has";
constexpr const char* kNoBetter =
    "learned codes are no better on held-out samples than those it has";

using Samples = std::vector<exec::Program::Named>;

// The two models on their way through the units.
class UnitInputs {
 public:
  UnitInputs(const ir::Model& model,
             const std::vector<ReconstructionUnit>& units,
             const Samples& samples, const PassContext& context)
      : reference_(*context.reference),
        quantized_(model, samples, context),
        floats_(reference_, samples, context) {
    // Where the first target of this unit and those behind it is computed.
    const exec::ExecutionOrder order(*reference_.graph);
    const ir::Node* first = nullptr;
    begins_.resize(units.size());
    for (size_t i = units.size(); i-- > 0;) {
      for (const std::string& name : units[i].float_targets) {
        const ir::Node* node = reference_.graph->find(name)->producer();
        if (!first || order.position(*node) < order.position(*first))
          first = node;
      }
      begins_[i] = first;
    }
  }

  void advance(const ReconstructionUnit& unit, size_t index) {
    quantized_.advance(unit.layers.front()->first());
    floats_.advance(*begins_[index]);
    samples_.targets.assign(floats_.samples(), {});
    floats_.compute(unit.float_targets,
                    [&](size_t sample, std::vector<at::Tensor> values) {
                      samples_.targets[sample] = std::move(values);
                    });
  }

  ir::Model part(const ReconstructionUnit& unit) {
    ir::Model part = quantized_.part(unit.targets);
    samples_.inputs.assign(quantized_.samples(), {});
    for (size_t i = 0; i < quantized_.samples(); ++i)
      for (const ir::Value* input : part.graph->inputs())
        samples_.inputs[i].push_back(quantized_.held(i, input->name()));
    return part;
  }

  const UnitSamples& samples() const { return samples_; }

  size_t bytes() const {
    size_t sum = quantized_.bytes() + floats_.bytes();
    for (const auto& values : samples_.targets)
      for (const at::Tensor& value : values) sum += value.nbytes();
    return sum;
  }

 private:
  const ir::Model& reference_;
  exec::StagedRun quantized_, floats_;
  std::vector<const ir::Node*> begins_;
  UnitSamples samples_;
};

class Adaround final : public Pass {
 public:
  explicit Adaround(AdaroundOptions options) : options_(options) {}

  std::string name() const override { return "adaround"; }

  PassResult run(ir::Model& model, PassContext& context) override {
    require_reference_and_data(context, name());
    check_options();
    PassResult result;
    std::vector<CodedLayer> layers =
        find_coded_layers(model, *context.reference, result.remarks);
    drop_shared(layers, result);
    if (layers.empty()) return result;
    const std::vector<ReconstructionUnit> units =
        options_.granularity == AdaroundOptions::Granularity::kLayer
            ? layer_units(layers, *context.reference)
            : block_units(layers, model, *context.reference);
    const Samples samples =
        draw(fitting_samples(model, units, result, context), context);
    context.progress->begin("learn rounding", units.size() * steps());
    UnitInputs inputs(model, units, samples, context);
    for (size_t i = 0; i < units.size(); ++i) {
      inputs.advance(units[i], i);
      const std::string first = units[i].layers.front()->node->id();
      const LearnedRounding learned = learn_rounding(
          inputs.part(units[i]), units[i], inputs.samples(), options_,
          derive_seed(context.seed, name() + " " + first), context);
      if (learned.exact) context.progress->advance(steps());
      write(units[i], learned, result);
    }
    context.progress->end();
    return result;
  }

 private:
  uint64_t steps() const { return static_cast<uint64_t>(options_.steps); }

  void check_options() const {
    const auto require = [](bool holds, const std::string& what) {
      if (!holds) throw Error(ErrorKind::kUsage, "adaround", what);
    };
    const auto positive = [&](const char* option, int64_t value) {
      require(value >= 1,
              fmt::format("{} is {}, expected 1 or more", option, value));
    };
    positive("steps", options_.steps);
    positive("samples", options_.samples);
    positive("batch_size", options_.batch_size);
    require(options_.learning_rate > 0 && options_.learning_rate <= 1,
            fmt::format("learning_rate is {}, expected above 0 to 1",
                        options_.learning_rate));
    require(
        options_.regularization >= 0 && std::isfinite(options_.regularization),
        fmt::format("regularization is {}, expected 0 or more",
                    options_.regularization));
  }

  static void drop_shared(std::vector<CodedLayer>& layers, PassResult& result) {
    std::erase_if(layers, [&](const CodedLayer& layer) {
      const bool shared = layer.weights->input(0)->uses().size() > 1 ||
                          layer.weights->output()->uses().size() > 1;
      if (shared) result.remarks.push_back({layer.node->id(), kShared});
      return shared;
    });
  }

  Samples draw(int64_t count, const PassContext& context) const {
    return exec::draw_samples(*context.reference->graph, *context.data, count,
                              derive_seed(context.seed, name()));
  }

  // As many as kMaxBytes hold, by the size of the first one.
  int64_t fitting_samples(const ir::Model& model,
                          const std::vector<ReconstructionUnit>& units,
                          PassResult& result,
                          const PassContext& context) const {
    UnitInputs one(model, units, draw(1, context), context);
    size_t most = 1;
    for (size_t i = 0; i < units.size(); ++i) {
      one.advance(units[i], i);
      most = std::max(most, one.bytes());
    }
    const auto fit =
        std::max<int64_t>(static_cast<int64_t>(kMaxBytes / most), 2);
    const int64_t wanted = std::min(options_.samples, context.data->size());
    if (fit < wanted)
      result.remarks.push_back(
          {"", fmt::format("{} of {} samples are used: more would take over 2 "
                           "GiB",
                           fit, wanted)});
    return std::min(fit, wanted);
  }

  static void write(const ReconstructionUnit& unit,
                    const LearnedRounding& learned, PassResult& result) {
    for (size_t i = 0; i < unit.layers.size(); ++i) {
      const CodedLayer& layer = *unit.layers[i];
      ir::Value* value = layer.weights->input(0);
      const char* kept = nullptr;
      if (learned.exact)
        kept = kExact;
      else if (std::ranges::equal(value->tensor().data<int8_t>(),
                                  learned.codes[i]))
        kept = kSame;
      else if (!(learned.held_out < 1))
        kept = kNoBetter;
      if (kept) {
        result.remarks.push_back({layer.node->id(), kept});
        continue;
      }
      value->set_tensor(
          ir::Tensor::from<int8_t>(value->tensor().dims(), learned.codes[i]));
      ++result.changes;
    }
  }

  AdaroundOptions options_;
};

}  // namespace

std::unique_ptr<Pass> make_adaround(AdaroundOptions options) {
  return std::make_unique<Adaround>(options);
}

}  // namespace lathe::quantize
