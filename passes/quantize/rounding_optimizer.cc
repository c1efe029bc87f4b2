// Minimizes, over the rounding variables of all weights of a unit,
//
//   mean over targets of |found - target|^2 / |nearest - target|^2
//     + regularization * mean over weights of 1 - |2h - 1|^beta
//
// by Adam on batches drawn from the samples. Both terms are free of units: the
// paper's are sums, whose balance depends on a network's scale and size. As
// there, beta falls (here linearly) from 20 to 2, which drives h to 0 and 1,
// and a first fifth of the steps goes without the second term.
//
// Inside a unit activations are fake-quantized, straight through on the way
// back (BRECQ: Li et al. 2021, arXiv 2102.05426). A batch is split into shards
// of a fixed size; gradients are added in their order.
#include "passes/quantize/rounding_optimizer.h"

#include <algorithm>
#include <numeric>

#include "passes/base/error.h"
#include "passes/base/jobs.h"
#include "passes/base/random.h"
#include "passes/exec/single_thread.h"
#include "passes/quantize/rounding_variables.h"

namespace lathe::quantize {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr double kWarmUp = 0.2;  // of the steps
constexpr double kFirstBeta = 20, kLastBeta = 2;
constexpr size_t kShard = 2;         // samples
constexpr size_t kHeldOutShare = 8;  // one of so many

// The weights become initializers that the program has as parameters.
std::vector<std::string> make_parameters(ir::Model& part,
                                         const ReconstructionUnit& unit) {
  std::vector<std::string> names;
  for (const CodedLayer* layer : unit.layers) {
    ir::Value* weights = part.graph->find(layer->weights->output()->name());
    if (!weights)
      throw_internal("adaround", "a unit lacks its layer's weights");
    ir::Value* parameter = part.graph->add_constant(
        weights->name() + "_learned",
        ir::Tensor::zeros(ir::DataType::kFloat,
                          layer->weights->input(0)->tensor().dims()));
    const std::vector<ir::Use> uses = weights->uses();
    for (const ir::Use& use : uses) use.node->set_input(use.index, parameter);
    part.graph->remove_node(weights->producer());
    names.push_back(parameter->name());
  }
  return names;
}

class Optimizer {
 public:
  Optimizer(const ir::Model& part, const ReconstructionUnit& unit,
            const UnitSamples& samples, const AdaroundOptions& options,
            uint64_t seed, const PassContext& context)
      : unit_(unit),
        samples_(samples),
        options_(options),
        context_(context),
        random_(seed) {
    ir::Model trained = ir::clone(part);
    const std::vector<std::string> names = make_parameters(trained, unit);
    program_ = exec::Program::compile(
        trained, {.trainable = [&](const ir::Value& value) {
          return std::ranges::count(names, value.name()) > 0;
        }});
    for (const std::string& name : names)
      parameters_.push_back(std::ranges::find(program_->parameters(), name,
                                              &exec::Program::Parameter::name)
                                ->tensor);
    for (const ir::Value* input : part.graph->inputs())
      inputs_.push_back(input->name());
    for (const CodedLayer* layer : unit.layers) variables_.emplace_back(*layer);
    const size_t count = samples.inputs.size();
    held_out_ = std::max<size_t>(count / kHeldOutShare, 1);
    training_ = std::max<size_t>(count - held_out_, 1);
  }

  LearnedRounding run() {
    const exec::SingleThread single;
    LearnedRounding learned;
    learned.codes = present_codes();
    learned.exact =
        std::ranges::none_of(variables_, &RoundingVariables::any_free);
    if (learned.exact) return learned;
    set_codes(learned.codes);
    find_shard_size();
    scale_ = errors(0, training_);
    const std::vector<double> before = errors(held_out_begin(), held_out_);
    learned.exact =
        std::ranges::all_of(scale_, [](double error) { return !(error > 0); });
    if (learned.exact) return learned;
    for (int64_t i = 0; i < options_.steps; ++i) {
      context_.check_cancelled();
      step(i);
      context_.progress->advance(1);
    }
    std::vector<std::vector<int8_t>> codes;
    for (const RoundingVariables& variables : variables_)
      codes.push_back(variables.codes());
    set_codes(codes);
    learned.held_out = ratio(errors(held_out_begin(), held_out_), before);
    learned.codes = std::move(codes);
    return learned;
  }

 private:
  size_t held_out_begin() const { return samples_.inputs.size() - held_out_; }

  std::vector<std::vector<int8_t>> present_codes() const {
    std::vector<std::vector<int8_t>> codes;
    for (const CodedLayer* layer : unit_.layers) {
      const auto data = layer->weights->input(0)->tensor().data<int8_t>();
      codes.emplace_back(data.begin(), data.end());
    }
    return codes;
  }

  static std::span<float> elements(const at::Tensor& tensor) {
    return {tensor.data_ptr<float>(), static_cast<size_t>(tensor.numel())};
  }

  void set_codes(const std::vector<std::vector<int8_t>>& codes) {
    for (size_t i = 0; i < codes.size(); ++i)
      variables_[i].weights_of(codes[i], elements(parameters_[i].detach()));
  }

  static at::Tensor joined(const std::vector<Tensors>& all,
                           std::span<const size_t> which, size_t index) {
    if (which.size() == 1) return all[which[0]][index];
    Tensors parts;
    for (const size_t sample : which) parts.push_back(all[sample][index]);
    return at::cat(parts);
  }

  Tensors run(std::span<const size_t> which) const {
    exec::Program::Named given;
    for (size_t i = 0; i < inputs_.size(); ++i)
      given.emplace_back(inputs_[i], joined(samples_.inputs, which, i));
    Tensors found = program_->run(given);
    found.resize(unit_.targets.size());
    return found;
  }

  // Squared error of a target over some samples.
  at::Tensor error(const at::Tensor& found, std::span<const size_t> which,
                   size_t target) const {
    const at::Tensor wanted = joined(samples_.targets, which, target);
    if (!wanted.sizes().equals(found.sizes()))
      throw_internal("adaround", "a target has another shape than '" +
                                     unit_.targets[target] + "'");
    return (found - wanted.to(found.scalar_type())).square().sum(at::kDouble);
  }

  // Samples can be stacked along the first axis where two of them then give
  // what each gives alone.
  void find_shard_size() {
    shard_ = 1;
    if (samples_.inputs.size() < 2) return;
    const at::NoGradGuard no_grad;
    if (!same_sizes(samples_.inputs) || !same_sizes(samples_.targets)) return;
    const size_t both[] = {0, 1};
    try {
      const Tensors together = run(both), first = run({both, 1}),
                    second = run({both + 1, 1});
      for (size_t i = 0; i < together.size(); ++i) {
        const at::Tensor apart = at::cat({first[i], second[i]});
        if (!apart.sizes().equals(together[i].sizes()) ||
            !at::allclose(apart, together[i], 1e-3, 1e-4))
          return;
      }
    } catch (const Error&) {
      return;
    }
    shard_ = kShard;
  }

  static bool same_sizes(const std::vector<Tensors>& samples) {
    const Tensors& first = samples[0];
    return std::ranges::all_of(samples, [&](const Tensors& sample) {
      return std::ranges::equal(
          sample, first, [](const at::Tensor& a, const at::Tensor& b) {
            return a.dim() > 0 && a.sizes().equals(b.sizes());
          });
    });
  }

  // Of each target, over `count` samples from `begin` on.
  std::vector<double> errors(size_t begin, size_t count) const {
    std::vector<size_t> which(count);
    std::iota(which.begin(), which.end(), begin);
    std::vector<std::vector<double>> parts((count + shard_ - 1) / shard_);
    parallel_for(parts.size(), context_.jobs, [&](size_t i) {
      context_.check_cancelled();
      const at::NoGradGuard no_grad;
      const exec::SingleThread single;
      const auto shard = shard_of(which, i);
      const Tensors found = run(shard);
      for (size_t t = 0; t < found.size(); ++t)
        parts[i].push_back(error(found[t], shard, t).item<double>());
    });
    std::vector<double> sums(unit_.targets.size(), 0);
    for (const auto& part : parts)
      for (size_t t = 0; t < sums.size(); ++t) sums[t] += part[t];
    return sums;
  }

  static double ratio(const std::vector<double>& after,
                      const std::vector<double>& before) {
    double sum = 0;
    for (size_t t = 0; t < after.size(); ++t) {
      const bool none = !(before[t] > 0);
      sum += none ? (after[t] > 0 ? 2 : 1) : after[t] / before[t];
    }
    return sum / static_cast<double>(after.size());
  }

  std::span<const size_t> shard_of(const std::vector<size_t>& which,
                                   size_t index) const {
    const size_t begin = index * shard_;
    return {which.data() + begin, std::min(shard_, which.size() - begin)};
  }

  std::vector<size_t> next_batch() {
    std::vector<size_t> batch;
    const size_t count =
        std::min<size_t>(static_cast<size_t>(options_.batch_size), training_);
    while (batch.size() < count) {
      if (queue_.empty()) {
        queue_.resize(training_);
        std::iota(queue_.begin(), queue_.end(), size_t{0});
        random_.shuffle(queue_);
      }
      batch.push_back(queue_.back());
      queue_.pop_back();
    }
    return batch;
  }

  // d(objective) / d(weights) of one shard, without the regularization.
  Tensors gradients(std::span<const size_t> shard, size_t batch) const {
    const at::AutoGradMode record(true);
    const exec::SingleThread single;
    const Tensors found = run(shard);
    at::Tensor loss;
    for (size_t t = 0; t < found.size(); ++t) {
      if (!(scale_[t] > 0) || !found[t].requires_grad()) continue;
      const double weight = static_cast<double>(training_) /
                            (scale_[t] * static_cast<double>(batch) *
                             static_cast<double>(found.size()));
      const at::Tensor term = error(found[t], shard, t) * weight;
      loss = loss.defined() ? loss + term : term;
    }
    if (!loss.defined()) return Tensors(parameters_.size());
    return torch::autograd::grad({loss}, parameters_, {},
                                 /*retain_graph=*/false,
                                 /*create_graph=*/false, /*allow_unused=*/true);
  }

  RoundingVariables::Step schedule(int64_t index) const {
    const double done =
        static_cast<double>(index) / static_cast<double>(options_.steps);
    const double annealed = std::max((done - kWarmUp) / (1 - kWarmUp), 0.0);
    return {options_.learning_rate,
            done < kWarmUp ? 0 : options_.regularization,
            kFirstBeta + (kLastBeta - kFirstBeta) * annealed};
  }

  void step(int64_t index) {
    for (size_t i = 0; i < variables_.size(); ++i)
      variables_[i].soft_weights(elements(parameters_[i].detach()));
    const std::vector<size_t> batch = next_batch();
    std::vector<Tensors> shards((batch.size() + shard_ - 1) / shard_);
    parallel_for(shards.size(), context_.jobs, [&](size_t i) {
      shards[i] = gradients(shard_of(batch, i), batch.size());
    });
    for (size_t p = 0; p < parameters_.size(); ++p) {
      at::Tensor sum = at::zeros(parameters_[p].sizes());
      for (const Tensors& shard : shards)
        if (shard[p].defined()) sum.add_(shard[p]);
      variables_[p].step(elements(sum), schedule(index), context_.jobs);
    }
  }

  const ReconstructionUnit& unit_;
  const UnitSamples& samples_;
  const AdaroundOptions& options_;
  const PassContext& context_;
  Random random_;
  std::unique_ptr<exec::Program> program_;
  std::vector<std::string> inputs_;
  Tensors parameters_;
  std::vector<RoundingVariables> variables_;
  size_t training_ = 0, held_out_ = 0, shard_ = 1;
  std::vector<size_t> queue_;  // samples of this epoch that are still to come
  std::vector<double> scale_;  // squared errors of the codes that were there
};

}  // namespace

LearnedRounding learn_rounding(const ir::Model& part,
                               const ReconstructionUnit& unit,
                               const UnitSamples& samples,
                               const AdaroundOptions& options, uint64_t seed,
                               const PassContext& context) {
  return Optimizer(part, unit, samples, options, seed, context).run();
}

}  // namespace lathe::quantize
