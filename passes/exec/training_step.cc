#include "passes/exec/training_step.h"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "passes/base/error.h"
#include "passes/base/random.h"

namespace lathe::exec {
namespace {

class Autocast {
 public:
  explicit Autocast(bool on) : on_(on) {
    if (!on_) return;
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    at::autocast::set_cpu_enabled(true);
    at::autocast::increment_nesting();
  }
  ~Autocast() {
    if (!on_) return;
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_cpu_enabled(false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  const bool on_;
};

void require_finite(double value, const char* what, const LossTerms& terms) {
  if (std::isfinite(value)) return;
  std::string cause = what;
  for (const auto& [name, term] : terms.terms)
    if (!std::isfinite(term)) cause += fmt::format(" (its part '{}')", name);
  throw TrainingStep::NotFinite{value, cause};
}

}  // namespace

void copy_values(const std::vector<at::Tensor>& from,
                 const std::vector<at::Tensor>& to) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < from.size(); ++i) to[i].copy_(from[i]);
}

std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> made;
  for (const at::Tensor& tensor : tensors)
    made.push_back(tensor.detach().clone());
  return made;
}

void TrainingRanks::sum(std::vector<double>& values) const {
  if (!group) return;
  at::Tensor shared = at::tensor(values, at::kDouble);
  group->all_reduce({shared});
  const double* sums = shared.data_ptr<double>();
  values.assign(sums, sums + shared.numel());
}

int64_t TrainingRanks::agreed(int64_t number) const {
  if (!group) return number;
  at::Tensor shared = at::scalar_tensor(number, at::kLong);
  group->broadcast({shared});
  return shared.item<int64_t>();
}

TrainingStep::TrainingStep(TrainingTask& task, const TrainOptions& options,
                           TrainingRanks ranks, TrainingData& data,
                           uint64_t seed)
    : task_(task),
      options_(options),
      ranks_(ranks),
      data_(data),
      seed_(seed),
      trained_(task.trained()) {
  if (trained_.empty())
    throw Error(ErrorKind::kUnsupported, "training",
                "the model has no weights that training may change");
  for (const TrainedTensor& tensor : trained_)
    tensors_.push_back(tensor.tensor);
  for (const auto& [name, tensor] : task.buffers()) tensors_.push_back(tensor);
  reset();
}

void TrainingStep::reset() {
  optimizer_ = make_optimizer(options_.optimizer, trained_);
  if (options_.ema_decay > 0)
    average_ = std::make_unique<MovingAverage>(options_.ema_decay, tensors_);
}

TrainingStep::Result TrainingStep::run(int64_t step, double rate) {
  clear_gradients(trained_);
  Result result;
  const double weight = 1.0 / static_cast<double>(options_.accumulate);
  for (int64_t i = 0; i < options_.accumulate; ++i) {
    const uint64_t draw = derive_seed(
        seed_, fmt::format("step {} {} {}", step, i, ranks_.rank()));
    const TrainingBatch batch = data_.next(draw);
    at::manual_seed(draw);
    LossTerms terms;
    at::Tensor loss;
    {
      const Autocast autocast(options_.bfloat16);
      loss = task_.loss(batch, terms);
    }
    if (options_.accumulate > 1) loss = loss * weight;
    result.loss += loss.item<double>();
    result.samples += batch.samples;
    result.terms.add(terms, weight);
    loss.backward();
  }
  share(result);
  require_finite(result.loss, "the loss", result.terms);
  scale_gradients(trained_);
  if (ranks_.group)
    average_gradients(*ranks_.group,
                      std::span(tensors_).first(trained_.size()));
  result.gradient_norm = clip_gradients(trained_, options_.clip_norm);
  require_finite(result.gradient_norm, "the norm of the gradient",
                 result.terms);
  optimizer_->step(rate);
  task_.after_step();
  if (average_) average_->update();
  return result;
}

// Means of losses and sums of counts. Terms are the same on every rank.
void TrainingStep::share(Result& result) const {
  if (!ranks_.group) return;
  LossTerms& terms = result.terms;
  const auto count = static_cast<double>(ranks_.count());
  std::vector<double> values = {
      result.loss, static_cast<double>(result.samples),
      static_cast<double>(terms.correct), static_cast<double>(terms.judged)};
  for (const auto& [name, value] : terms.terms) values.push_back(value);
  ranks_.sum(values);
  result.loss = values[0] / count;
  result.samples = std::llround(values[1]);
  terms.correct = std::llround(values[2]);
  terms.judged = std::llround(values[3]);
  for (size_t i = 0; i < terms.terms.size(); ++i)
    terms.terms[i].second = values[4 + i] / count;
}

std::pair<double, std::optional<double>> TrainingStep::evaluate() {
  const at::NoGradGuard no_grad;
  task_.set_training(false);
  if (average_) average_->swap();
  std::vector<double> sums(4);  // loss, samples, correct, judged
  data_.for_each_held_out([&](const TrainingBatch& batch) {
    LossTerms terms;
    const auto count = static_cast<double>(batch.samples);
    sums[0] += count * task_.loss(batch, terms).item<double>();
    sums[1] += count;
    sums[2] += static_cast<double>(terms.correct);
    sums[3] += static_cast<double>(terms.judged);
  });
  if (average_) average_->swap();
  task_.set_training(true);
  ranks_.sum(sums);
  std::optional<double> accuracy;
  if (sums[3] > 0) accuracy = sums[2] / sums[3];
  return {sums[0] / std::max(sums[1], 1.0), accuracy};
}

}  // namespace lathe::exec
