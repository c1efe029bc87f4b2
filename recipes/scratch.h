// A folder for files that are not finished yet.
#pragma once

#include <filesystem>
#include <string>

namespace lathe::recipes {

// A fresh folder ".lathe-XXXXXX" inside `parent` (so that renaming out of it
// stays on one file system), removed with all it holds at the end. Error kIo,
// or kInput when `parent` does not exist.
class Scratch {
 public:
  explicit Scratch(const std::filesystem::path& parent);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // A folder in it, made when missing.
  std::filesystem::path folder(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

// Renames every file of `from` into `to` (made when missing), replacing those
// of the same name, the .onnx file last. Error kIo.
void move_files(const std::filesystem::path& from,
                const std::filesystem::path& to);
// Bytes of the files in the folder.
uint64_t folder_bytes(const std::filesystem::path& folder);

}  // namespace lathe::recipes
