// Where the tests find real models and data.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

namespace lathe::test {

// LATHE_SHARED, default ../shared beside the source tree.
inline std::filesystem::path shared_dir() {
  if (const char* set = std::getenv("LATHE_SHARED")) return set;
  return std::filesystem::path(LATHE_SOURCE_DIR) / ".." / "shared";
}

// A file below it; prints why and returns "" when it is not there.
inline std::filesystem::path shared_file(const std::string& relative) {
  std::filesystem::path path = shared_dir() / relative;
  if (std::filesystem::exists(path)) return path;
  std::cerr << "skipped: " << path.string()
            << " is not there (set LATHE_SHARED)\n";
  return {};
}

// A fresh folder that is removed at the end.
class TempDir {
 public:
  TempDir() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "lathe-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace lathe::test
