#include "calibration/latency/temporary_model.h"

#include <cstdlib>
#include <system_error>

#include "passes/base/error.h"

namespace lathe::latency {
std::optional<io::DetachedModel> export_small_model(const ir::Model& model) {
  try {
    return io::export_onnx_detached(model);
  } catch (const Error& error) {
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
