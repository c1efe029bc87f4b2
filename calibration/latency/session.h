// A model loaded in ONNX Runtime's CPU provider.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "passes/executor.h"
#include "passes/ir/graph.h"

namespace lathe::latency {

enum class OptimizationLevel { kNone, kBasic, kExtended, kAll };

struct SessionOptions {
  int threads = 1;  // intra-op; inter-op is always 1 (sequential)
  OptimizationLevel level = OptimizationLevel::kAll;
  std::filesystem::path optimized_model;  // dump, when not empty
  std::filesystem::path profile_prefix;   // profiling, when not empty
  bool spin = true;  // intra-op workers spin; false where sessions compete
  // Numbers too small for a normal float count as zero, on this thread from
  // then on: random values must not make a kernel hundreds of times slower.
  bool flush_denormals = false;
  // The runtime keeps freed memory for the next run. Off: a peak is given back,
  // runs are slower.
  bool arena = true;
};

struct TensorInfo {
  std::string name;
  ir::ValueType type;
};

// Thread-safe for run(). The runtime's own log goes nowhere; its errors become
// kInput ("the runtime refuses this model: …") with the model as `where`.
class Session final : public Executable {
 public:
  // From a file (external data resolved beside it).
  static std::unique_ptr<Session> open(const std::filesystem::path& path,
                                       const SessionOptions& options = {});
  // From memory: large weights are handed over where they lie and kept, the
  // rest is exported to bytes; above 2 GB of it all to a temporary file.
  static std::unique_ptr<Session> open(const ir::Model& model,
                                       const SessionOptions& options = {},
                                       const std::string& where = "model");
  ~Session() override;

  const std::vector<TensorInfo>& inputs() const;  // without initializers
  const std::vector<TensorInfo>& outputs() const;
  std::vector<ir::Tensor> run(const NamedTensors& inputs) const override;
  // Only some outputs (by name), in that order.
  std::vector<ir::Tensor> run(const NamedTensors& inputs,
                              const std::vector<std::string>& outputs) const;

  // As run(inputs, outputs), without copies: `visit` gets each output's index
  // in `outputs` and a view that ends with the call.
  void run(const NamedTensors& inputs, const std::vector<std::string>& outputs,
           const std::function<void(size_t, const ir::Tensor&)>& visit) const;

  // Bound inputs and reused outputs: what bench times. run() inside copies
  // nothing.
  class Bound {
   public:
    virtual ~Bound() = default;
    virtual void run() = 0;
  };
  std::unique_ptr<Bound> bind(const NamedTensors& inputs) const;

  // Ends profiling and returns the JSON file's path.
  std::filesystem::path end_profiling();

 private:
  struct Impl;
  class BoundRun;
  explicit Session(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared with what bind() returned
};

// `given`, floating-point tensors converted to the floating-point type of the
// session's input of their name: what was made for a float model, for the same
// model in half precision.
NamedTensors fit_types(const Session& session, const NamedTensors& given);

std::string runtime_version();  // "1.30.0"
// An Executor whose prepared models are Sessions.
std::unique_ptr<Executor> make_runtime_executor(int threads, bool spin = true);

}  // namespace lathe::latency
