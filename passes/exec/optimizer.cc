#include "passes/exec/optimizer.h"

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>

namespace lathe::exec {
namespace {

using torch::optim::OptimizerParamGroup;

// Two groups, of which the first decays.
template <class GroupOptions>
std::vector<OptimizerParamGroup> groups(
    const std::vector<TrainedTensor>& tensors,
    const std::vector<at::Tensor>& trained, const GroupOptions& options) {
  std::vector<at::Tensor> decaying, plain;
  for (size_t i = 0; i < tensors.size(); ++i)
    (tensors[i].decays ? decaying : plain).push_back(trained[i]);
  GroupOptions without = options;
  without.weight_decay(0);
  std::vector<OptimizerParamGroup> made;
  made.emplace_back(decaying, std::make_unique<GroupOptions>(options));
  made.emplace_back(plain, std::make_unique<GroupOptions>(without));
  return made;
}

std::string key_of(const at::Tensor& tensor) {
  return c10::guts::to_string(tensor.unsafeGetTensorImpl());
}

const at::Tensor* find(const NamedValues& values, const std::string& name) {
  for (const auto& [found, tensor] : values)
    if (found == name) return &tensor;
  return nullptr;
}

at::Tensor in_units(const TrainedTensor& tensor) {
  return (tensor.tensor.detach() / tensor.unit).requires_grad_();
}

// The tensors themselves, or where they have units, others in those.
std::vector<at::Tensor> in_units(const std::vector<TrainedTensor>& tensors) {
  std::vector<at::Tensor> trained;
  for (const TrainedTensor& tensor : tensors)
    trained.push_back(tensor.unit.defined() ? in_units(tensor) : tensor.tensor);
  return trained;
}

// One implementation for all of LibTorch's: `State` knows what to keep.
template <class Torch, class GroupOptions, class State>
class TorchOptimizer final : public Optimizer {
 public:
  TorchOptimizer(std::vector<TrainedTensor> tensors,
                 const GroupOptions& options)
      : tensors_(std::move(tensors)),
        trained_(in_units(tensors_)),
        optimizer_(groups(tensors_, trained_, options), options) {}

  void step(double learning_rate) override {
    for (OptimizerParamGroup& group : optimizer_.param_groups())
      static_cast<GroupOptions&>(group.options()).lr(learning_rate);
    const at::NoGradGuard no_grad;
    // From the tensors each time: others may have changed them, and a run that
    // goes on from a checkpoint has nothing else.
    for_each_unit([](const TrainedTensor& tensor, at::Tensor& trained) {
      trained.copy_(tensor.tensor / tensor.unit);
      trained.mutable_grad() = tensor.tensor.grad();
    });
    optimizer_.step();
    for_each_unit([](const TrainedTensor& tensor, at::Tensor& trained) {
      if (trained.grad().defined())
        at::Tensor(tensor.tensor).copy_(trained * tensor.unit);
    });
  }

  NamedValues state() const override {
    NamedValues values;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const auto found = optimizer_.state().find(key_of(trained_[i]));
      if (found != optimizer_.state().end())
        State::read(static_cast<typename State::Kept&>(*found->second),
                    tensors_[i].name, values);
    }
    return values;
  }

  void load(const NamedValues& values) override {
    optimizer_.state().clear();
    for (size_t i = 0; i < tensors_.size(); ++i) {
      auto kept = std::make_unique<typename State::Kept>();
      if (State::write(*kept, tensors_[i].name, values))
        optimizer_.state()[key_of(trained_[i])] = std::move(kept);
    }
  }

 private:
  template <class Do>
  void for_each_unit(Do what) {
    for (size_t i = 0; i < tensors_.size(); ++i)
      if (tensors_[i].unit.defined()) what(tensors_[i], trained_[i]);
  }

  const std::vector<TrainedTensor> tensors_;
  std::vector<at::Tensor> trained_;
  Torch optimizer_;
};

struct SgdState {
  using Kept = torch::optim::SGDParamState;
  static void read(Kept& kept, const std::string& name, NamedValues& values) {
    if (kept.momentum_buffer().defined())
      values.emplace_back(name, kept.momentum_buffer().clone());
  }
  static bool write(Kept& kept, const std::string& name,
                    const NamedValues& values) {
    const at::Tensor* momentum = find(values, name);
    if (momentum) kept.momentum_buffer(momentum->clone());
    return momentum != nullptr;
  }
};

struct AdamState {
  using Kept = torch::optim::AdamWParamState;
  static void read(Kept& kept, const std::string& name, NamedValues& values) {
    values.emplace_back(name, kept.exp_avg().clone());
    values.emplace_back(name + " squared", kept.exp_avg_sq().clone());
    values.emplace_back(name + " steps",
                        at::scalar_tensor(kept.step(), at::kLong));
  }
  static bool write(Kept& kept, const std::string& name,
                    const NamedValues& values) {
    const at::Tensor* mean = find(values, name);
    const at::Tensor* square = find(values, name + " squared");
    const at::Tensor* steps = find(values, name + " steps");
    if (!mean || !square || !steps) return false;
    kept.exp_avg(mean->clone());
    kept.exp_avg_sq(square->clone());
    kept.step(steps->item<int64_t>());
    return true;
  }
};

std::unique_ptr<Optimizer> make_sgd(const OptimizerOptions& options,
                                    std::vector<TrainedTensor> tensors) {
  return std::make_unique<
      TorchOptimizer<torch::optim::SGD, torch::optim::SGDOptions, SgdState>>(
      std::move(tensors),
      torch::optim::SGDOptions(options.learning_rate)
          .momentum(options.momentum)
          .nesterov(options.nesterov && options.momentum > 0)
          .weight_decay(options.weight_decay));
}

std::unique_ptr<Optimizer> make_adamw(const OptimizerOptions& options,
                                      std::vector<TrainedTensor> tensors) {
  return std::make_unique<TorchOptimizer<
      torch::optim::AdamW, torch::optim::AdamWOptions, AdamState>>(
      std::move(tensors), torch::optim::AdamWOptions(options.learning_rate)
                              .betas({options.beta1, options.beta2})
                              .eps(options.epsilon)
                              .weight_decay(options.weight_decay));
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options,
                                          std::vector<TrainedTensor> tensors) {
  return options.kind == OptimizerKind::kAdamW
             ? make_adamw(options, std::move(tensors))
             : make_sgd(options, std::move(tensors));
}

void clear_gradients(const std::vector<TrainedTensor>& tensors) {
  for (const TrainedTensor& tensor : tensors)
    tensor.tensor.mutable_grad() = at::Tensor();
}

void scale_gradients(const std::vector<TrainedTensor>& tensors) {
  const at::NoGradGuard no_grad;
  for (const TrainedTensor& tensor : tensors)
    if (at::Tensor gradient = tensor.tensor.grad(); gradient.defined()) {
      if (tensor.gradient_scale != 1) gradient.mul_(tensor.gradient_scale);
      if (tensor.unit.defined()) gradient.mul_(tensor.unit);
    }
}

double clip_gradients(const std::vector<TrainedTensor>& tensors, double limit) {
  const at::NoGradGuard no_grad;
  double squares = 0;
  for (const TrainedTensor& tensor : tensors)
    if (const at::Tensor& gradient = tensor.tensor.grad(); gradient.defined()) {
      const double norm = gradient.norm().item<double>();
      squares += norm * norm;
    }
  const double norm = std::sqrt(squares);
  if (limit <= 0 || !(norm > limit) || !std::isfinite(norm)) return norm;
  for (const TrainedTensor& tensor : tensors)
    if (at::Tensor gradient = tensor.tensor.grad(); gradient.defined())
      gradient.mul_(limit / norm);
  return norm;
}

MovingAverage::MovingAverage(double decay, std::vector<at::Tensor> tensors)
    : decay_(decay), tensors_(std::move(tensors)) {
  for (const at::Tensor& tensor : tensors_)
    averages_.push_back(tensor.detach().clone());
}

void MovingAverage::update() {
  const at::NoGradGuard no_grad;
  const auto t = static_cast<double>(updates++);
  const double decay = std::min(decay_, (1 + t) / (10 + t));
  for (size_t i = 0; i < tensors_.size(); ++i)
    averages_[i].lerp_(tensors_[i], 1 - decay);
}

void MovingAverage::swap() {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const at::Tensor kept = tensors_[i].detach().clone();
    tensors_[i].copy_(averages_[i]);
    averages_[i].copy_(kept);
  }
}

}  // namespace lathe::exec
