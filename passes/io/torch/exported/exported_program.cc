#include <set>
#include <string>

#include "passes/io/torch/aten/unused.h"
#include "passes/io/torch/exported/exported_program_archive.h"
#include "passes/io/torch/exported/exported_program_signature.h"
#include "passes/io/torch/torch_import.h"
#include "passes/ir/shape_inference.h"

namespace lathe::io {

Imported import_exported_program(const std::filesystem::path& path,
                                 const ImportOptions& options) {
  exported::ExportedArchive archive = exported::ExportedArchive::open(path);
  // Which weights a program changes is known once it is translated; those are
  // inputs the next time.
  std::set<std::string> state;
  for (;;) {
    exported::ProgramTranslation translation(archive, options, state);
    const std::set<std::string> changed = translation.run();
    if (!changed.empty()) {
      state.insert(changed.begin(), changed.end());
      continue;
    }
    Imported imported = translation.take_result();
    aten::remove_unused(*imported.model.graph);
    ir::infer_shapes(imported.model);
    ir::verify(*imported.model.graph, "import of " + path.string());
    return imported;
  }
}

}  // namespace lathe::io
