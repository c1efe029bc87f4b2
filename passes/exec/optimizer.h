// What turns gradients into steps: LibTorch's optimizers, clipping, and
// averages of what is trained.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "passes/exec/torch.h"
#include "passes/exec/train_options.h"

namespace lathe::exec {

using NamedValues = std::vector<std::pair<std::string, at::Tensor>>;

struct TrainedTensor {
  std::string name;
  at::Tensor tensor;   // a leaf that requires a gradient
  bool decays = true;  // weight decay: not for normalizations and biases
  // Gradients are multiplied by it before anything else looks at them.
  double gradient_scale = 1;
  // What is trained is `tensor` in multiples of this, which stays what it is
  // and broadcasts to the tensor's shape. Undefined: 1.
  at::Tensor unit = {};
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Tensors without a gradient stay as they are.
  virtual void step(double learning_rate) = 0;
  // Copies of momenta and counts, to be saved; and back.
  virtual NamedValues state() const = 0;
  virtual void load(const NamedValues& state) = 0;

 protected:
  Optimizer() = default;
};

std::unique_ptr<Optimizer> make_optimizer(const OptimizerOptions& options,
                                          std::vector<TrainedTensor> tensors);

void clear_gradients(const std::vector<TrainedTensor>& tensors);
// Multiplies each by its gradient_scale and unit: gradients are by what is
// trained from here on.
void scale_gradients(const std::vector<TrainedTensor>& tensors);
// Multiplies every gradient so that their common L2 norm is at most `limit`
// (Pascanu et al. 2013); returns the norm before. A limit of 0 only measures.
double clip_gradients(const std::vector<TrainedTensor>& tensors, double limit);

// Exponential moving average: a <- d a + (1 - d) x with
// d = min(decay, (1 + t) / (10 + t)) at update t.
class MovingAverage {
 public:
  MovingAverage(double decay, std::vector<at::Tensor> tensors);
  void update();
  // Exchanges the averages and the tensors' values.
  void swap();
  std::vector<at::Tensor>& averages() { return averages_; }
  int64_t updates = 0;

 private:
  double decay_;
  std::vector<at::Tensor> tensors_, averages_;
};

}  // namespace lathe::exec
