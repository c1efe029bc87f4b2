#include "calibration/latency/temporary_model.h"

#include <cstdlib>
#include <system_error>

#include "passes/base/error.h"
#include "passes/io/onnx/onnx.h"

namespace lathe::latency {
namespace {

// Leaves room below protobuf's 2 GiB for everything that is no initializer.
constexpr uint64_t kMaxInitializerBytes = 1'900'000'000;

uint64_t initializer_bytes(const ir::Graph& graph) {
  uint64_t bytes = 0;
  for (const ir::Value* value : graph.initializers())
    bytes += value->tensor().size_bytes();
  for (const auto& node : graph.nodes())
    for (const ir::Graph* sub : node->subgraphs())
      bytes += initializer_bytes(*sub);
  return bytes;
}

}  // namespace

std::optional<std::string> export_small_model(const ir::Model& model) {
  if (initializer_bytes(*model.graph) > kMaxInitializerBytes)
    return std::nullopt;
  try {
    return io::export_onnx_bytes(model);
  } catch (const Error& error) {
    // Something else is that large: tensors in attributes.
    if (error.kind() != ErrorKind::kUnsupported) throw;
    return std::nullopt;
  }
}

TemporaryModel::TemporaryModel(const ir::Model& model) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "lathe-XXXXXX").string();
  if (!::mkdtemp(pattern.data()))
    throw Error(ErrorKind::kIo, pattern, "the folder cannot be made",
                "set TMPDIR to a folder with enough room");
  folder_ = pattern;
  try {
    io::export_onnx(model, path());
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    throw;
  }
}

TemporaryModel::~TemporaryModel() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace lathe::latency
