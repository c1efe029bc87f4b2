#include "passes/distill/distill.h"

namespace lathe::distill {

void forget_progress(const std::filesystem::path& work_folder) {
  std::error_code ignored;
  std::filesystem::directory_iterator files(work_folder, ignored), end;
  std::vector<std::filesystem::path> used;
  for (; !ignored && files != end; files.increment(ignored)) {
    const std::string name = files->path().filename().string();
    // A temporary file stays where a run was killed while it wrote a
    // checkpoint.
    if (name == exec::kCheckpointFile || name.starts_with(kTeacherCacheFile) ||
        name.starts_with(std::string(".") + exec::kCheckpointFile + "."))
      used.push_back(files->path());
  }
  for (const std::filesystem::path& file : used)
    std::filesystem::remove(file, ignored);
}

}  // namespace lathe::distill
