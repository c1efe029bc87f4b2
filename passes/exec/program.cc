#include "passes/exec/program.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>

#include "passes/base/error.h"
#include "passes/exec/plan.h"
#include "passes/exec/process_group.h"

namespace lathe::exec {
namespace {

bool holds_statistics(const ir::Value& value) {
  return std::any_of(value.uses().begin(), value.uses().end(),
                     [](const ir::Use& use) {
                       return use.node->op_type == "BatchNormalization" &&
                              (use.index == 3 || use.index == 4);
                     });
}

void check_device(at::Device device) {
  if (device.is_cpu()) return;
  const std::string where = "device '" + device.str() + "'";
  if (!device.is_cuda())
    throw_unsupported(where, "the executor runs on the CPU and on CUDA");
  if (!at::hasCUDA())
    throw_unsupported(
        where, "the linked LibTorch has no CUDA, or finds no device",
        "use the CPU, or link a LibTorch that was built for CUDA");
  const int count = c10::impl::getDeviceGuardImpl(device.type())->deviceCount();
  if (device.has_index() && device.index() >= count)
    throw_unsupported(where,
                      "LibTorch finds " + std::to_string(count) + " of them");
}

// Every step frees what the next one takes again. glibc would give it back to
// the system in between, and fault it in page by page: a tenth of a step.
void keep_freed_memory() {
#ifdef __GLIBC__
  static const bool kept = [] {
    constexpr int kLargest = 32 << 20;  // what glibc takes on 64 bits
    return mallopt(M_MMAP_THRESHOLD, kLargest) == 1 &&
           mallopt(M_TRIM_THRESHOLD, -1) == 1;
  }();
  static_cast<void>(kept);
#endif
}

class CompiledProgram final : public Program {
 public:
  CompiledProgram(const ir::Model& model, const CompileOptions& options)
      : model_(ir::clone(model)),
        device_(options.device),
        checkpoints_(options.checkpoint_segments) {
    check_device(device_);
    if (checkpoints_ < kCheckpointsBySize)
      throw Error(ErrorKind::kUsage, "checkpoint_segments",
                  "it is " + std::to_string(checkpoints_) +
                      ", but should be a count, or kCheckpointsBySize");
    auto constants = std::make_shared<Constants>();
    constants->device = device_;
    ir::for_each_graph(*model_.graph, [&](ir::Graph& graph) {
      for (ir::Value* value : graph.initializers())
        add(*value, options, *constants);
    });
    plan_ = std::make_shared<Plan>(*model_.graph, model_, std::move(constants));
    if (!plan_->captures().empty())
      throw_input("graph", "value '" + plan_->captures()[0]->name() +
                               "' is used but never computed");
    hooks_.resize(plan_->slots());
    cut();
  }

  std::vector<at::Tensor> run(const Named& inputs) const override {
    const RunState state{.training = training_, .group = group_};
    const bool checkpoints = at::GradMode::is_enabled() && segments_.size() > 1;
    Tensors outputs =
        plan_->execute(arrange(inputs), {}, state, hooked_ ? &hooks_ : nullptr,
                       checkpoints ? &segments_ : nullptr);
    for (at::Tensor& output : outputs) output = output.to(device_);
    return outputs;
  }

  void set_training(bool on) override {
    if (on) keep_freed_memory();
    training_ = on;
  }
  bool training() const override { return training_; }
  void set_group(std::shared_ptr<ProcessGroup> group) override {
    group_ = group && group->ranks() > 1 ? std::move(group) : nullptr;
  }
  std::span<const Parameter> parameters() const override { return parameters_; }
  std::span<const Parameter> buffers() const override { return buffers_; }

  void store(ir::Model& model) const override {
    for (const auto* list : {&parameters_, &buffers_})
      for (const Parameter& parameter : *list) store(model, parameter);
  }

  void set_hook(const std::string& name, Hook hook) override {
    const ir::Value* value = model_.graph->find(name);
    const int slot = value ? plan_->slot_of(value) : -1;
    if (slot < 0)
      throw Error(ErrorKind::kUsage, "hook",
                  "the graph computes no value '" + name + "'");
    hooks_[static_cast<size_t>(slot)] = std::move(hook);
    hooked_ = true;
    cut();
  }
  void clear_hooks() override {
    std::fill(hooks_.begin(), hooks_.end(), nullptr);
    hooked_ = false;
    cut();
  }

 private:
  void add(const ir::Value& value, const CompileOptions& options,
           Constants& constants) {
    const bool floating = ir::is_floating(value.type.elem);
    at::Tensor tensor = to_torch(value.tensor());
    if (floating) tensor = tensor.to(device_);
    const bool trains =
        floating &&
        (options.trainable ? options.trainable(value) : is_trainable(value));
    if (trains) {
      tensor.set_requires_grad(true);
      parameters_.push_back({value.name(), tensor});
    } else if (floating && holds_statistics(value)) {
      buffers_.push_back({value.name(), tensor});
    }
    constants.index[&value] = constants.tensors.size();
    if (!device_.is_cpu()) constants.moved.push_back(tensor.to(device_));
    constants.tensors.push_back(std::move(tensor));
  }

  void cut() {
    segments_.clear();
    const int64_t count =
        checkpoints_ == kCheckpointsBySize
            ? std::llround(std::sqrt(static_cast<double>(plan_->steps())))
            : checkpoints_;
    if (count > 1)
      segments_ = plan_->segments(static_cast<size_t>(count), hooks_);
  }

  Tensors arrange(const Named& inputs) const {
    Tensors formal;
    for (const ir::Value* wanted : plan_->formals()) {
      auto found = std::find_if(
          inputs.begin(), inputs.end(),
          [&](const auto& given) { return given.first == wanted->name(); });
      if (found == inputs.end())
        throw_input("input '" + wanted->name() + "'", "it is not given");
      formal.push_back(found->second.to(device_));
    }
    return formal;
  }

  static void store(ir::Model& model, const Parameter& parameter) {
    ir::Value* target = nullptr;
    ir::for_each_graph(*model.graph, [&](ir::Graph& graph) {
      ir::Value* value = graph.find(parameter.name);
      if (!target && value && value->has_initializer()) target = value;
    });
    if (!target)
      throw_input("initializer '" + parameter.name + "'",
                  "the model does not have it");
    const at::Tensor tensor = parameter.tensor.detach();
    const std::vector<int64_t>& dims = target->tensor().dims();
    if (!tensor.sizes().equals(dims))
      throw_input("initializer '" + parameter.name + "'",
                  "its shape is not the one that was compiled");
    target->set_tensor(from_torch(tensor, target->type.elem));
  }

  const ir::Model model_;
  const at::Device device_;
  const int64_t checkpoints_;
  std::vector<Parameter> parameters_, buffers_;
  std::shared_ptr<Plan> plan_;
  std::vector<Segment> segments_;
  std::vector<Hook> hooks_;
  bool hooked_ = false, training_ = false;
  std::shared_ptr<ProcessGroup> group_;
};

class TorchExecutable final : public Executable {
 public:
  explicit TorchExecutable(const ir::Model& model)
      : program_(Program::compile(
            model, {.trainable = [](const ir::Value&) { return false; }})) {
    for (const ir::Value* output : model.graph->outputs())
      types_.push_back(output->type.elem);
  }

  std::vector<ir::Tensor> run(const NamedTensors& inputs) const override {
    at::NoGradGuard no_grad;
    Program::Named given;
    for (const auto& [name, tensor] : inputs)
      given.emplace_back(name, to_torch(tensor));
    const Tensors results = program_->run(given);
    std::vector<ir::Tensor> outputs;
    for (size_t i = 0; i < results.size(); ++i)
      outputs.push_back(from_torch(results[i], types_[i]));
    return outputs;
  }

 private:
  std::unique_ptr<Program> program_;
  std::vector<ir::DataType> types_;
};

class TorchExecutor final : public Executor {
 public:
  std::unique_ptr<Executable> prepare(const ir::Model& model) const override {
    return std::make_unique<TorchExecutable>(model);
  }
};

}  // namespace

std::unique_ptr<Program> Program::compile(const ir::Model& model,
                                          const CompileOptions& options) {
  return std::make_unique<CompiledProgram>(model, options);
}

std::unique_ptr<Executor> make_torch_executor() {
  return std::make_unique<TorchExecutor>();
}

}  // namespace lathe::exec
