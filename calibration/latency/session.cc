#include "calibration/latency/session.h"

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <optional>
#include <system_error>

#include "calibration/latency/runtime.h"
#include "calibration/latency/session_input.h"
#include "calibration/latency/temporary_model.h"
#include "passes/base/error.h"
#include "passes/base/text.h"
#include "passes/io/onnx/onnx.h"

namespace lathe::latency {
namespace {

GraphOptimizationLevel to_runtime(OptimizationLevel level) {
  switch (level) {
    case OptimizationLevel::kNone:
      return ORT_DISABLE_ALL;
    case OptimizationLevel::kBasic:
      return ORT_ENABLE_BASIC;
    case OptimizationLevel::kExtended:
      return ORT_ENABLE_EXTENDED;
    case OptimizationLevel::kAll:
      break;
  }
  return ORT_ENABLE_ALL;
}

Ort::SessionOptions to_runtime(const SessionOptions& options) {
  Ort::SessionOptions result;
  result.SetIntraOpNumThreads(std::max(1, options.threads));
  result.SetInterOpNumThreads(1);
  result.SetExecutionMode(ORT_SEQUENTIAL);
  result.SetGraphOptimizationLevel(to_runtime(options.level));
  result.AddConfigEntry("session.intra_op.allow_spinning",
                        options.spin ? "1" : "0");
  if (options.flush_denormals)
    result.AddConfigEntry("session.set_denormal_as_zero", "1");
  if (!options.arena) result.DisableCpuMemArena();
  if (!options.optimized_model.empty())
    result.SetOptimizedModelFilePath(options.optimized_model.c_str());
  if (!options.profile_prefix.empty())
    result.EnableProfiling(options.profile_prefix.c_str());
  return result;
}

// Calls f; the runtime's exceptions become Errors about the model.
template <class F>
auto guarded(const std::string& where, const char* what, F&& f) {
  try {
    return f();
  } catch (const Ort::Exception& error) {
    throw_input(where, what + runtime::clean_message(error.what()));
  }
}

// The session refers to the weights' memory from then on.
void hand_over(const NamedTensors& weights, Ort::SessionOptions& options) {
  if (weights.empty()) return;
  std::vector<std::string> names;
  std::vector<Ort::Value> values;
  for (const auto& [name, tensor] : weights) {
    names.push_back(name);
    values.push_back(runtime::to_value(tensor));
  }
  options.AddExternalInitializers(names, values);
}

constexpr char kRefuses[] = "the runtime refuses this model: ";
constexpr char kFails[] = "the runtime fails to run this model: ";

}  // namespace

struct Session::Impl {
  Impl(std::string where_text, Ort::Session opened)
      : where(std::move(where_text)), session(std::move(opened)) {
    Ort::AllocatorWithDefaultOptions allocator;
    for (size_t i = 0; i < session.GetInputCount(); ++i)
      inputs.push_back({session.GetInputNameAllocated(i, allocator).get(),
                        runtime::to_type(session.GetInputTypeInfo(i))});
    for (size_t i = 0; i < session.GetOutputCount(); ++i)
      outputs.push_back({session.GetOutputNameAllocated(i, allocator).get(),
                         runtime::to_type(session.GetOutputTypeInfo(i))});
    for (size_t i = 0; i < session.GetOverridableInitializerCount(); ++i)
      overridable.push_back(
          {session.GetOverridableInitializerNameAllocated(i, allocator).get(),
           runtime::to_type(session.GetOverridableInitializerTypeInfo(i))});
  }

  std::string where;
  NamedTensors weights;  // that the session refers to
  Ort::Session session;
  std::vector<TensorInfo> inputs, outputs, overridable;

  std::vector<Ort::Value> run(const NamedTensors& named,
                              const std::vector<const char*>& wanted) {
    check_inputs(where, inputs, overridable, named);
    return guarded(where, kFails, [&] {
      std::vector<const char*> names;
      std::vector<Ort::Value> values;
      for (const auto& [name, tensor] : named) {
        names.push_back(name.c_str());
        values.push_back(runtime::to_value(tensor));
      }
      return session.Run(Ort::RunOptions{nullptr}, names.data(), values.data(),
                         values.size(), wanted.data(), wanted.size());
    });
  }

  std::string output_place(const std::string& name) const {
    return where + ": output '" + name + "'";
  }
};

// Every output is written to the same memory in each run, which is allocated
// once its shape is known, after a first run.
class Session::BoundRun final : public Session::Bound {
 public:
  BoundRun(std::shared_ptr<Impl> impl, NamedTensors inputs)
      : impl_(std::move(impl)),
        inputs_(std::move(inputs)),
        binding_(impl_->session) {
    check_inputs(impl_->where, impl_->inputs, impl_->overridable, inputs_);
    guarded(impl_->where, kFails, [&] { bind_all(); });
  }

  void run() override {
    guarded(impl_->where, kFails,
            [&] { impl_->session.Run(run_options_, binding_); });
  }

 private:
  void bind_all() {
    for (const auto& [name, tensor] : inputs_) {
      input_values_.push_back(runtime::to_value(tensor));
      binding_.BindInput(name.c_str(), input_values_.back());
    }
    bind_fresh_outputs();
    impl_->session.Run(run_options_, binding_);
    std::vector<Ort::Value> first = binding_.GetOutputValues();
    binding_.ClearBoundOutputs();
    for (size_t i = 0; i < first.size(); ++i) bind_output(i, first[i]);
    try {
      impl_->session.Run(run_options_, binding_);
    } catch (const Ort::Exception&) {
      // A shape that changes from run to run: let the runtime allocate.
      binding_.ClearBoundOutputs();
      bind_fresh_outputs();
    }
  }

  void bind_fresh_outputs() {
    for (const TensorInfo& output : impl_->outputs)
      binding_.BindOutput(output.name.c_str(), memory_);
  }

  void bind_output(size_t index, const Ort::Value& first) {
    const char* name = impl_->outputs[index].name.c_str();
    if (first.IsTensor()) {
      Ort::TensorTypeAndShapeInfo info = first.GetTensorTypeAndShapeInfo();
      std::vector<int64_t> dims = info.GetShape();
      if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) {
        Ort::AllocatorWithDefaultOptions allocator;
        output_values_.push_back(Ort::Value::CreateTensor(
            allocator, dims.data(), dims.size(), info.GetElementType()));
        binding_.BindOutput(name, output_values_.back());
        return;
      }
    }
    binding_.BindOutput(name, memory_);
  }

  std::shared_ptr<Impl> impl_;
  NamedTensors inputs_;
  std::vector<Ort::Value> input_values_, output_values_;
  Ort::MemoryInfo memory_ =
      Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
  Ort::RunOptions run_options_;
  Ort::IoBinding binding_;
};

Session::Session(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;

std::unique_ptr<Session> Session::open(const std::filesystem::path& path,
                                       const SessionOptions& options) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored))
    throw_input(path.string(), "there is no such file");
  return guarded(path.string(), kRefuses, [&] {
    Ort::Env& env = runtime::environment();
    return std::unique_ptr<Session>(new Session(std::make_shared<Impl>(
        path.string(), Ort::Session(env, path.c_str(), to_runtime(options)))));
  });
}

std::unique_ptr<Session> Session::open(const ir::Model& model,
                                       const SessionOptions& options,
                                       const std::string& where) {
  std::optional<io::DetachedModel> small = export_small_model(model);
  std::optional<TemporaryModel> file;
  if (!small) file.emplace(model);
  return guarded(where, kRefuses, [&] {
    Ort::Env& env = runtime::environment();
    Ort::SessionOptions runtime_options = to_runtime(options);
    if (!small)
      return std::unique_ptr<Session>(new Session(std::make_shared<Impl>(
          where, Ort::Session(env, file->path().c_str(), runtime_options))));
    hand_over(small->weights, runtime_options);
    auto impl = std::make_shared<Impl>(
        where, Ort::Session(env, small->bytes.data(), small->bytes.size(),
                            runtime_options));
    impl->weights = std::move(small->weights);
    return std::unique_ptr<Session>(new Session(std::move(impl)));
  });
}

const std::vector<TensorInfo>& Session::inputs() const { return impl_->inputs; }

const std::vector<TensorInfo>& Session::outputs() const {
  return impl_->outputs;
}

std::vector<ir::Tensor> Session::run(const NamedTensors& inputs) const {
  std::vector<const char*> wanted;
  for (const TensorInfo& output : impl_->outputs)
    wanted.push_back(output.name.c_str());
  std::vector<Ort::Value> values = impl_->run(inputs, wanted);
  std::vector<ir::Tensor> tensors;
  for (size_t i = 0; i < values.size(); ++i)
    tensors.push_back(runtime::to_tensor(
        values[i], impl_->output_place(wanted[i]), /*copy=*/true));
  return tensors;
}

std::vector<ir::Tensor> Session::run(
    const NamedTensors& inputs, const std::vector<std::string>& outputs) const {
  std::vector<ir::Tensor> tensors(outputs.size());
  run(inputs, outputs, [&](size_t i, const ir::Tensor& view) {
    if (view.type() == ir::DataType::kString)
      tensors[i] = view;
    else
      tensors[i] = ir::Tensor(view.type(), view.dims(),
                              ir::Bytes::copy_of(view.bytes()));
  });
  return tensors;
}

void Session::run(
    const NamedTensors& inputs, const std::vector<std::string>& outputs,
    const std::function<void(size_t, const ir::Tensor&)>& visit) const {
  std::vector<const char*> wanted;
  for (const std::string& name : outputs) {
    check_output(impl_->where, impl_->outputs, name);
    wanted.push_back(name.c_str());
  }
  std::vector<Ort::Value> values = impl_->run(inputs, wanted);
  for (size_t i = 0; i < values.size(); ++i)
    visit(i, runtime::to_tensor(values[i], impl_->output_place(outputs[i]),
                                /*copy=*/false));
}

std::unique_ptr<Session::Bound> Session::bind(
    const NamedTensors& inputs) const {
  return std::make_unique<BoundRun>(impl_, inputs);
}

std::filesystem::path Session::end_profiling() {
  return guarded(impl_->where, kFails, [&] {
    Ort::AllocatorWithDefaultOptions allocator;
    return std::filesystem::path(
        impl_->session.EndProfilingAllocated(allocator).get());
  });
}

}  // namespace lathe::latency
