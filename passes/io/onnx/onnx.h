// ONNX files in and out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "passes/ir/graph.h"

namespace lathe::io {

// Reads a model. External data is looked up beside the file (mapped, not
// read). Errors kInput, with the file as `where`: not a readable ONNX model,
// truncated, external data outside the model's folder or missing, tensors
// whose bytes disagree with their shape, cycles, undefined or doubly defined
// values.
ir::Model import_onnx(const std::filesystem::path& path);
ir::Model import_onnx_bytes(std::string_view bytes, const std::string& where,
                            const std::filesystem::path& folder = {});

struct ExportOptions {
  // Tensors go to "<name>.data" beside the file when the model would exceed
  // this many bytes (protobuf's limit is 2 GiB).
  uint64_t max_file_bytes = 2'000'000'000;
  uint64_t external_min_bytes = 1024;
};

// Writes atomically (data first, then the model).
void export_onnx(const ir::Model& model, const std::filesystem::path& path,
                 const ExportOptions& options = {});
// Error kUnsupported above 2 GiB.
std::string export_onnx_bytes(const ir::Model& model);

// A model for a reader in this process, which is handed the large weights as
// they lie in memory: in `bytes` they are external data of a file that does not
// exist. `weights` holds them by name.
struct DetachedModel {
  std::string bytes;
  std::vector<std::pair<std::string, ir::Tensor>> weights;
};
// Error kUnsupported where the rest takes more than 2 GiB.
DetachedModel export_onnx_detached(const ir::Model& model);

// A file with one serialized TensorProto (ONNX test cases).
ir::Tensor read_tensor_file(const std::filesystem::path& path);

}  // namespace lathe::io
