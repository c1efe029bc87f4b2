#include "passes/io/torch/torch_import.h"

#include "passes/io/torch/archive/torch_file.h"
#include "passes/io/torch/aten/aten_call.h"

namespace lathe::io {

Imported import_torch(const std::filesystem::path& path,
                      const ImportOptions& options) {
  return identify_torch_file(path) == TorchFileKind::kTorchScript
             ? import_torchscript(path, options)
             : import_exported_program(path, options);
}

std::vector<std::string> translated_aten_operators() {
  return aten::all_aten_names();
}

}  // namespace lathe::io
