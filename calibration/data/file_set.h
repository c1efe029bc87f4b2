// The files of a data set, whether they lie in a folder, in a tar archive or
// alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "calibration/data/blob.h"

namespace lathe::data {

struct DataFile {
  std::string path;  // inside the folder or archive, as it stands there
  Blob blob;
};

// Sorted by path (bytewise), no path twice.
using FileSet = std::vector<DataFile>;

struct FileFilter {
  // Lower-case endings such as ".jpg"; empty accepts every file. Hidden files
  // (a name that starts with a dot) are never taken.
  std::vector<std::string> extensions;
  // Shell pattern over the path (fnmatch(3), '*' spans folders); "" is all.
  std::string pattern;
  bool accepts(const std::string& path) const;
};

// How much of an archive is kept in memory; the rest goes to a temporary file.
constexpr uint64_t kArchiveMemoryBytes = uint64_t{512} << 20;
// A single image, recording or label file.
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// `path`: a folder (read recursively), a tar archive (plain or compressed by
// gzip, bzip2, xz or zstd; recognised by content) or a single file. Archives
// are read once. Errors kInput: no such path, a broken archive.
FileSet open_files(const std::filesystem::path& path, const FileFilter& filter,
                   uint64_t archive_memory_bytes = kArchiveMemoryBytes);

// The members of a zip archive (stored or deflated), in archive order. Nothing
// is skipped.
FileSet open_zip(const std::filesystem::path& path,
                 uint64_t archive_memory_bytes = kArchiveMemoryBytes);

// True for a file whose content is a tar archive, compressed or not.
bool is_tar(const std::filesystem::path& path);

// Undoes gzip where the content is compressed, else returns it as it is. Error
// kInput when broken or larger than `max_bytes`.
std::string gunzip(std::string bytes, uint64_t max_bytes,
                   const std::string& where);

// Every regular file below a folder that is not hidden, sorted; the path
// itself when it is a file.
std::vector<std::filesystem::path> list_files(
    const std::filesystem::path& path);

}  // namespace lathe::data
