#include "recipes/scratch.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "passes/base/error.h"

namespace lathe::recipes {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) {
              const bool last_a = a.extension() == ".onnx";
              const bool last_b = b.extension() == ".onnx";
              return last_a != last_b ? last_b : a < b;
            });
  return files;
}

}  // namespace

Scratch::Scratch(const fs::path& parent) {
  const fs::path base = parent.empty() ? fs::path(".") : parent;
  std::string pattern = (base / ".lathe-XXXXXX").string();
  if (!::mkdtemp(pattern.data()))
    throw Error(
        errno == ENOENT ? ErrorKind::kInput : ErrorKind::kIo, base.string(),
        std::string("cannot write in this folder: ") + std::strerror(errno));
  path_ = pattern;
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path Scratch::folder(const std::string& name) const {
  const fs::path made = path_ / name;
  fs::create_directories(made);
  return made;
}

void move_files(const fs::path& from, const fs::path& to) {
  try {
    fs::create_directories(to);
    for (const fs::path& file : files_in(from))
      fs::rename(file, to / file.filename());
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kIo, to.string(), error.code().message());
  }
}

uint64_t folder_bytes(const fs::path& folder) {
  uint64_t bytes = 0;
  for (const fs::path& file : files_in(folder)) bytes += fs::file_size(file);
  return bytes;
}

}  // namespace lathe::recipes
