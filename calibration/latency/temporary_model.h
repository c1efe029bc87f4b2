// How a model in memory reaches the runtime. Internal.
#pragma once

#include <filesystem>
#include <optional>

#include "passes/io/onnx/onnx.h"
#include "passes/ir/graph.h"

namespace lathe::latency {

// The model without its large weights; nullopt when it is too large for one
// protobuf message even so.
std::optional<io::DetachedModel> export_small_model(const ir::Model& model);

// The model in a folder of its own, with external data, gone at the end.
class TemporaryModel {
 public:
  explicit TemporaryModel(const ir::Model& model);
  ~TemporaryModel();
  TemporaryModel(const TemporaryModel&) = delete;
  TemporaryModel& operator=(const TemporaryModel&) = delete;

  std::filesystem::path path() const { return folder_ / "model.onnx"; }

 private:
  std::filesystem::path folder_;
};

}  // namespace lathe::latency
