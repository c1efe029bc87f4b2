#include "passes/exec/checkpoint.h"

#include <ATen/core/ivalue.h>

#include <mutex>

#include "passes/base/error.h"

namespace lathe::exec {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What LibTorch's generators of the CPU and of the device stand at.
class Draws {
 public:
  explicit Draws(at::Device device) {
    add(at::kCPU);
    if (!device.is_cpu()) add(device);
  }
  void restore() {
    for (auto& [generator, state] : list_) {
      std::lock_guard<std::mutex> lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void add(at::Device device) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    std::lock_guard<std::mutex> lock(generator.mutex());
    at::Tensor state = generator.get_state();
    list_.emplace_back(generator, std::move(state));
  }

  std::vector<std::pair<at::Generator, at::Tensor>> list_;
};

// Goes back to earlier draws, and afterwards on from where they had come to.
class SameDraws {
 public:
  SameDraws(Draws& earlier, at::Device device) : now_(device) {
    earlier.restore();
  }
  ~SameDraws() { now_.restore(); }
  SameDraws(const SameDraws&) = delete;
  SameDraws& operator=(const SameDraws&) = delete;

 private:
  Draws now_;
};

struct Call : torch::CustomClassHolder {
  Call(Recomputed function, size_t count, at::Device where)
      : run(std::move(function)), inputs(count), device(where), draws(where) {}

  const Recomputed run;
  const size_t inputs;
  const at::Device device;
  Draws draws;
};

constexpr const char* kCall = "call";

struct Checkpoint : torch::autograd::Function<Checkpoint> {
  // The call, then all tensors: the inputs, and behind them the parameters.
  static variable_list forward(AutogradContext* ctx, c10::IValue call,
                               at::TensorList tensors) {
    auto holder = call.toCapsule();
    const auto& known = static_cast<const Call&>(*holder);
    ctx->saved_data[kCall] = std::move(call);
    ctx->save_for_backward(tensors.vec());
    ctx->set_materialize_grads(false);
    Tensors outputs = known.run(
        Inputs(tensors.data(), tensors.size()).first(known.inputs), false);
    // A constant that is handed on must not become part of the graph.
    for (at::Tensor& output : outputs) output = output.detach();
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    if (at::GradMode::is_enabled())
      throw Error(ErrorKind::kUsage, "checkpoints",
                  "there are no gradients of gradients through them",
                  "compile with checkpoint_segments = 0");
    auto holder = ctx->saved_data[kCall].toCapsule();
    auto& call = static_cast<Call&>(*holder);
    variable_list leaves = ctx->get_saved_variables();
    for (size_t i = 0; i < call.inputs; ++i)
      leaves[i] =
          leaves[i].detach().set_requires_grad(leaves[i].requires_grad());
    variable_list roots, root_grads, wanted;
    {
      at::AutoGradMode with_gradients(true);
      SameDraws same(call.draws, call.device);
      Tensors outputs = call.run(Inputs(leaves).first(call.inputs), true);
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (!grads[i].defined() || !outputs[i].requires_grad()) continue;
        roots.push_back(outputs[i]);
        root_grads.push_back(grads[i]);
      }
    }
    for (const at::Tensor& leaf : leaves)
      if (leaf.requires_grad()) wanted.push_back(leaf);
    variable_list result(leaves.size() + 1);  // none for the call
    if (roots.empty() || wanted.empty()) return result;
    const variable_list found =
        torch::autograd::grad(roots, wanted, root_grads, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    size_t next = 0;
    for (size_t i = 0; i < leaves.size(); ++i)
      if (leaves[i].requires_grad()) result[i + 1] = found[next++];
    return result;
  }
};

}  // namespace

Tensors checkpointed(Recomputed run, Inputs inputs, Inputs parameters,
                     at::Device device) {
  Tensors tensors(inputs.begin(), inputs.end());
  tensors.insert(tensors.end(), parameters.begin(), parameters.end());
  auto call = c10::make_intrusive<Call>(std::move(run), inputs.size(), device);
  return Checkpoint::apply(c10::IValue::make_capsule(std::move(call)),
                           at::TensorList(tensors));
}

}  // namespace lathe::exec
