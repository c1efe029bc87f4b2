// A graph compiled once into a plan of LibTorch calls: what calibrates, trains
// and differentiates a model.
//
// Tensors have the graph's element types, but for unsigned integers of 16 bits
// and more, which LibTorch 1.13 lacks: they are held in the next wider signed
// type.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "passes/exec/torch.h"
#include "passes/executor.h"
#include "passes/ir/graph.h"

namespace lathe::exec {

class ProcessGroup;

// As many as the square root of the number of nodes.
constexpr int64_t kCheckpointsBySize = -1;

struct CompileOptions {
  // The CPU or CUDA. Parameters and buffers lie there, and inputs are brought
  // there.
  at::Device device = at::kCPU;
  // Gradient checkpointing: into how many segments the graph is cut. While
  // gradients are recorded, only what one segment hands to the next is kept;
  // the rest is computed a second time on the way back, with the same random
  // numbers. 0 and 1: off. Values with a hook are cut behind.
  int64_t checkpoint_segments = 0;
  // Which initializers become parameters: leaf tensors that require gradients.
  // Default: is_trainable(). Only floating ones are asked about.
  std::function<bool(const ir::Value&)> trainable;
};

// A floating initializer in the place of a weight: of a convolution or product,
// a normalization's scale and shift, a slope, a recurrent layer's matrices, an
// embedding's table, or a vector that is added or multiplied channel by
// channel. Running statistics, masks and single numbers are none.
bool is_trainable(const ir::Value& initializer);

// Replaces a value, or looks at it and returns it.
using Hook = std::function<at::Tensor(const at::Tensor&)>;

class Program {
 public:
  struct Parameter {
    std::string name;   // of the initializer
    at::Tensor tensor;  // a leaf; change it under at::NoGradGuard
  };
  using Named = std::vector<std::pair<std::string, at::Tensor>>;

  // Errors: kUnsupported with the node for an operator that has no kernel, or
  // an attribute that its kernel does not take, and for a device that the
  // linked LibTorch does not have; kInput for a broken node; kUsage for
  // checkpoint_segments below kCheckpointsBySize.
  static std::unique_ptr<Program> compile(const ir::Model& model,
                                          const CompileOptions& options = {});
  virtual ~Program() = default;

  // The graph's outputs in order. Values are released after their last use.
  // Gradients are recorded when at::GradMode is on. Thread-safe in evaluation
  // mode. Error kInput, with the node, when a call fails on these inputs. The
  // program may be gone before backward() runs.
  virtual std::vector<at::Tensor> run(const Named& inputs) const = 0;

  // Training mode: BatchNormalization uses and updates batch statistics,
  // Dropout drops. A fresh program evaluates. The first program that trains
  // makes the process keep what it frees (glibc's M_TRIM_THRESHOLD): every step
  // takes it again.
  virtual void set_training(bool on) = 0;
  virtual bool training() const = 0;
  // In training, BatchNormalization takes the batches of all ranks together,
  // forward and backward, and has the same running statistics on every rank.
  // Each rank runs, and goes back, as often and in the same order. Null or one
  // rank: this process's batches alone.
  virtual void set_group(std::shared_ptr<ProcessGroup> group) = 0;

  // In the order of the graph's initializers.
  virtual std::span<const Parameter> parameters() const = 0;
  // What training changes beside parameters: running statistics.
  virtual std::span<const Parameter> buffers() const = 0;
  // Writes parameters and buffers back into the model that was compiled, or a
  // clone of it. Error kInput when an initializer is missing or has another
  // shape.
  virtual void store(ir::Model& model) const = 0;

  // Called with the value of that name, of the main graph, as soon as it is
  // computed (graph inputs included), once a run. On another device than the
  // CPU, integers may lie on the CPU. Error kUsage for an unknown name.
  virtual void set_hook(const std::string& value, Hook hook) = 0;
  virtual void clear_hooks() = 0;

 protected:
  Program() = default;
};

at::Tensor to_torch(const ir::Tensor& tensor);
ir::Tensor from_torch(const at::Tensor& tensor, ir::DataType type);

// Programs in evaluation mode and without gradients, behind the interface that
// passes use.
std::unique_ptr<Executor> make_torch_executor();

}  // namespace lathe::exec
