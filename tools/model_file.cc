#include "tools/model_file.h"

#include <algorithm>
#include <fstream>

#include "passes/base/error.h"
#include "passes/base/file.h"
#include "passes/io/onnx/onnx.h"

namespace lathe::cli {
namespace {

// A zip archive (TorchScript, torch.export, torch.save) or a pickle (older
// torch.save).
bool is_pytorch(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  for (const char* known : {".pt", ".pt2", ".pth", ".th", ".jit"})
    if (extension == known) return true;
  const auto file = MappedFile::open(path);
  const auto bytes =
      file->bytes().first(std::min<size_t>(file->bytes().size(), 4));
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()),
                              bytes.size());
  return head == "PK\x03\x04" || head.starts_with("\x80\x02");
}

}  // namespace

void require_onnx(const std::filesystem::path& path) {
  // Opening it first: a missing file is a missing file whatever its name.
  MappedFile::open(path);
  if (is_pytorch(path))
    throw_unsupported(path.string(),
                      "found a PyTorch file, expected an ONNX model",
                      "export it from PyTorch with torch.onnx.export first");
}

ir::Model load_model(const std::filesystem::path& path) {
  require_onnx(path);
  return io::import_onnx(path);
}

ir::InputShapes shapes_for(const ir::Model& model, const ir::InputShapes& all) {
  ir::InputShapes shapes;
  for (const auto& [name, dims] : all) {
    const ir::Value* value = name.empty() ? nullptr : model.graph->find(name);
    if (name.empty() || (value && value->is_graph_input())) shapes[name] = dims;
  }
  return shapes;
}

void require_folder_of(const std::filesystem::path& path) {
  const std::filesystem::path folder = path.parent_path();
  std::error_code ignored;
  if (!folder.empty() && !std::filesystem::is_directory(folder, ignored))
    throw_input(path.string(), "the folder to write to does not exist",
                "create it first");
}

}  // namespace lathe::cli
